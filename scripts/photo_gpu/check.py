"""Compares the kernels with automatic differentiation of the same network in plain PyTorch.

Without a GPU, the kernels are compiled for the CPU, where each thread of a block is a thread: slow, and the same code.
"""

import os
import subprocess
import sys
import tempfile

import torch
import torch.nn.functional as F

import network
from fast import FastNetwork


def library(folder, device):
    """Compiles the kernels."""
    here = os.path.dirname(os.path.abspath(__file__))
    source, out = os.path.join(here, "kernels.cu"), os.path.join(folder, "kernels.so")
    if device == "cuda":
        command = ["nvcc", "-O3", "-std=c++17", "-arch=native", "-shared", "-Xcompiler", "-fPIC", source, "-o", out]
    else:
        command = ["g++", "-O2", "-std=c++20", "-shared", "-fPIC", "-DEMULATE", "-x", "c++", source, "-o", out]
    subprocess.run(command, check=True)
    return out


def main():
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(1)
    edge, crops = (256, 4) if device == "cuda" else (64, 2)
    with tempfile.TemporaryDirectory() as folder:
        net = FastNetwork(network.default_config(), edge, 0.004, device, library(folder, device))
    start = network.initial_parameters(net.layout, 1).to(device)
    weights = (start.repeat(crops, 1) + 0.05 * torch.randn(crops, net.layout.count, device=device)).requires_grad_()
    target = F.avg_pool2d(torch.rand(crops, 3, edge + 4, edge + 4, device=device) - 0.5, 5, 1)
    latents = (0.5 * net.pyramid(target) + 0.3 * torch.randn(crops, sum(net.lengths), device=device)).requires_grad_()

    bits, levels = net.bits(net.levels(latents), F.pad(weights, (0, 1)))
    squares = net.squares(net.picture(net.levels(latents), F.pad(weights, (0, 1))), target)
    wanted = [torch.autograd.grad(total.sum(), [latents, weights]) for total in (bits, squares)]

    fixed, moved = weights.detach(), latents.detach().requires_grad_()
    found = [[torch.zeros_like(latents), torch.zeros_like(fixed)] for _ in range(2)]
    fast_bits = net.context(moved.detach(), fixed, *found[0])
    picture = net.synthesis(moved, fixed, found[1][1], torch.ones(crops, 1, device=device))
    (found[1][0],) = torch.autograd.grad(net.squares(picture, target).sum(), [moved])

    errors = {"bits": (fast_bits, torch.stack(levels, 1))}
    for name, a, b in zip(("bits", "squares"), found, wanted):
        errors[f"gradient of {name} by latents"] = a[0], b[0]
        errors[f"gradient of {name} by weights"] = a[1], b[1]
    worst = 0.0
    for name, (a, b) in errors.items():
        error = ((a - b).norm() / b.norm()).item()
        worst = max(worst, error)
        print(f"{name}: relative error {error:.1e}")
    sys.exit(0 if worst < 1e-5 else 1)


if __name__ == "__main__":
    main()
