"""Trains networks of the photo family on an NVIDIA GPU, 150 times as fast as `aez train` on one core.

Needs PyTorch, torchvision and nvcc. The networks, each QUALITY:SECONDS[:INIT[:JITTER]], are trained side by side. Each is written to
OUT/qQUALITY.safetensors, a model in floating point, whenever it is the best so far on held-out pictures. Of such a file
`aez train --family photo --init FILE --into MODEL --quality QUALITY --steps 0` makes a network of integers. INIT is such a file, too.
JITTER replaces --jitter.
"""

import argparse
import json
import math
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from check import library
from crops import Crops, fixed_crops, read_folder
from fast import FastNetwork
from network import default_config, initial_parameters

# How fast the averages of Adam forget, as in the crate: for latents, coefficients, weights and directions.
LATENTS, COEFFICIENTS, WEIGHTS = (0.6, 0.99), (0.8, 0.99), (0.9, 0.99)
# Initial size of directions, and their learning rate relative to that of the weights.
FIRST_DIRECTION, DIRECTION_RATE = 0.003, 0.1
# Steps during which the learning rate of the weights rises.
WARM_UP = 200
# Part of the way that coefficients go to a mean of 0 and a standard deviation of 1 in each step.
NORMALIZING = 0.01
# Groups of crops; those of a group are replaced at the same time.
GROUPS = 16


def directed(layout):
    """1 for weights that directions move: context models of levels 0 and 1, synthesis of levels 0 to 2, but not the steps."""
    mask = torch.zeros(layout.count)
    for name, (start, shape) in layout.at.items():
        part, level = name.split(".")[:2]
        if int(level) < (2 if part == "context" else 3) and not name.endswith("gain"):
            mask[start : start + math.prod(shape)] = 1
    return mask


def adam(values, mean, square, gradient, rate, count, decay):
    mean.lerp_(gradient, 1 - decay[0])
    square.lerp_(gradient * gradient, 1 - decay[1])
    values.sub_(rate / (1 - decay[0] ** (count + 1)) * mean / ((square / (1 - decay[1] ** (count + 1))).sqrt() + 1e-10))


def half_cosine(part):
    return 0.5 + 0.5 * torch.cos(math.pi * part.clamp(0, 1))


def soft_round(x, inverse):
    """Soft rounding and its derivative."""
    center = torch.floor(x) + 0.5
    amplitude = 0.5 / torch.tanh(0.5 * inverse)
    curve = torch.tanh((x - center) * inverse)
    return center + amplitude * curve, amplitude * inverse * (1 - curve * curve)


class Trainer:
    """All state is in arrays of fixed size, so that a step is one graph of CUDA."""

    def __init__(self, net, parameters, directions, crops, options):
        device, b, k = net.device, options.batch, options.directions
        self.net, self.crops, self.options = net, crops, options
        zeros = lambda *shape: torch.zeros(*shape, device=device)
        latents, n = sum(net.lengths), net.layout.count
        self.mask = directed(net.layout).to(device)
        self.parameters = parameters.to(device).clone()
        if directions is None:
            directions = FIRST_DIRECTION * (2 * torch.rand(k, n) - 1)
        self.directions = directions.to(device) * self.mask
        self.adams = [(zeros(n), zeros(n)), (zeros(k, n), zeros(k, n)), (zeros(b, latents), zeros(b, latents)), (zeros(b, k), zeros(b, k))]
        self.target, self.latents, self.coefficients = zeros(b, 3, *net.sizes[0]), zeros(b, latents), zeros(b, k)
        self.age, self.updates = zeros(b, 1), zeros(b, 1)
        # The factor of the steps: crops are coded at qualities around that of the network.
        self.multiplier = torch.ones(b, 1, device=device)
        self.step_number, self.total, self.training = zeros(1), torch.full((1,), 1e6, device=device), torch.ones(1, device=device)
        self.weights, self.gradient, self.loss = zeros(b, n), zeros(b, n), zeros(2)
        self.form = net.to_rgb.t() @ net.to_rgb
        self.graph = None

    def state(self):
        arrays = [self.parameters, self.directions, self.target, self.latents, self.coefficients, self.age, self.updates]
        return arrays + [self.multiplier, self.step_number, self.loss] + [array for pair in self.adams for array in pair]

    @torch.no_grad()
    def fill(self, rows, target, age, jitter):
        """Replaces crops."""
        offsets = torch.tensor([[self.crops.rng.uniform(-jitter, jitter)] for _ in range(len(target))], device=self.net.device)
        multiplier = torch.exp2(-offsets / 22)
        self.multiplier[rows], self.target[rows] = multiplier, target
        # The pyramid of a darker picture is one with larger steps.
        self.latents[rows] = self.net.pyramid(target / multiplier.view(-1, 1, 1, 1))
        for array in (self.coefficients, self.updates, *self.adams[2], *self.adams[3]):
            array[rows] = 0
        self.age[rows] = age

    @torch.no_grad()
    def compute(self):
        """One update of everything."""
        net, options = self.net, self.options
        part = (self.age / options.updates).clamp(max=1.0)
        inverse, noise = 1 / (0.35 - 0.25 * part), 0.2 - 0.1 * part
        once, slope = soft_round(self.latents, inverse)
        rounded, slope_of_second = soft_round(once + noise * torch.randn_like(once), inverse)
        torch.addmm(self.parameters.unsqueeze(0), self.coefficients, self.directions, out=self.weights)
        self.gradient.zero_()
        by_latents = torch.zeros_like(rounded)
        bits = net.context(rounded, self.weights, by_latents, self.gradient).sum(1)
        lam = net.lam * self.multiplier**2
        with torch.enable_grad():
            leaf = rounded.detach().requires_grad_()
            picture = net.synthesis(leaf, self.weights, self.gradient, self.multiplier)
            error = picture.detach() - self.target
            weighted = (self.form @ error.flatten(2)).view_as(error)
            squares = (error * weighted).sum((1, 2, 3))
            (by_error,) = torch.autograd.grad(picture, [leaf], weighted * (2 / (3 * lam)).view(-1, 1, 1, 1))
        loss = ((bits + squares / (3 * lam.squeeze(1))) / net.pixels).unsqueeze(1)
        prepared = (self.age >= options.preparation).float()
        count = prepared.sum().clamp(min=1)
        self.loss.add_(torch.stack([(loss * prepared).sum() / count, (bits.unsqueeze(1) * prepared).sum() / count / net.pixels]))
        adam(self.latents, *self.adams[2], (by_latents + by_error) * slope * slope_of_second, 0.16 * half_cosine(part) + 0.002, self.updates, LATENTS)
        # The root lets smooth pictures count more.
        influence = prepared / (count * net.pixels * loss.clamp(min=0.01).sqrt())
        rate = (options.rate * (self.step_number / WARM_UP).clamp(max=1) * half_cosine(self.step_number / self.total) + 1e-5) * self.training
        by_parameters = (influence * self.gradient).sum(0)
        limit = 1.0 / by_parameters.norm().clamp(min=1.0)
        if options.directions:
            # What all crops have in common belongs to the weights.
            apart = self.coefficients - (prepared * self.coefficients).sum(0) / count
            by_directions = (apart * influence).t() @ self.gradient * self.mask
            by_coefficients = self.gradient @ self.directions.t()
            adam(self.coefficients, *self.adams[3], by_coefficients, 0.3 * (half_cosine(part) + 0.01), self.updates, COEFFICIENTS)
            adam(self.directions, *self.adams[1], by_directions * limit, DIRECTION_RATE * rate, self.step_number, WEIGHTS)
            self.normalize(prepared, count)
        adam(self.parameters, *self.adams[0], by_parameters * limit, rate, self.step_number, WEIGHTS)
        self.step_number.add_(self.training)
        self.age.add_(1)
        self.updates.add_(1)

    def normalize(self, prepared, count):
        """Moves the mean of the coefficients into the weights, and their size into the directions, slowly. No network changes by that."""
        mean = (prepared * self.coefficients).sum(0) / count
        size = ((prepared * (self.coefficients - mean) ** 2).sum(0) / count).sqrt().clamp(min=0.05)
        shift, factor = NORMALIZING * self.training * mean, size ** (NORMALIZING * self.training)
        self.parameters.add_(shift @ self.directions)
        self.coefficients.sub_(shift).div_(factor)
        self.directions.mul_(factor.unsqueeze(1))

    def step(self):
        if self.net.device == "cpu":
            return self.compute()
        if self.graph is None:
            self.capture()
        self.graph.replay()

    def capture(self):
        kept = [array.clone() for array in self.state()]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self.compute()
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        # On a stream of its own, so that graphs that run side by side do not share the working memory of cuBLAS.
        with torch.cuda.graph(self.graph, stream=stream):
            self.compute()
        for array, value in zip(self.state(), kept):
            array.copy_(value)

    @torch.no_grad()
    def measure(self, targets):
        """Fits crops with the weights as they are. Returns the geometric mean of the losses, a text, and the coefficients."""
        count = min(len(targets), self.options.batch)
        kept = [array.clone() for array in self.state()]
        self.training.fill_(0)
        self.fill(slice(None), targets.repeat(-(-self.options.batch // count), 1, 1, 1)[: self.options.batch], 0, 0.0)
        for _ in range(self.options.updates):
            self.step()
        net, rounded = self.net, self.latents.round()
        weights = self.parameters + (16 * self.coefficients).round() / 16 @ self.directions
        bits = net.context(rounded, weights, torch.zeros_like(rounded), torch.zeros_like(weights)).sum(1)[:count] / net.pixels
        picture = net.synthesis(rounded, weights, torch.zeros_like(weights), self.multiplier)
        error = net.squares(picture, self.target)[:count] / (3 * net.pixels)
        loss = bits + error / net.lam
        mean = loss.log().mean().exp().item()
        text = "loss %.4f, geometric mean %.4f, %.4f bits a pixel, %.2f dB" % (loss.mean(), mean, bits.mean(), -10 * error.log10().mean())
        coefficients = self.coefficients[:count].clone()
        for array, value in zip(self.state(), kept):
            array.copy_(value)
        self.training.fill_(1)
        return mean, text, coefficients

    def save(self, path, quality, coefficients):
        """Coefficients have a mean of 0 and a standard deviation of 1 in the file's network."""
        config = {"levels": self.net.config}
        parameters, directions = self.parameters.double().cpu(), self.directions.double().cpu()
        tensors = {"parameters": parameters.float()}
        if self.options.directions:
            config["directions"] = self.options.directions
            c = coefficients.double().cpu()
            directions_now = directions * c.std(0).clamp(min=0.05).view(-1, 1)
            tensors = {"parameters": (parameters + c.mean(0) @ directions).float(), "directions": directions_now.float()}
        metadata = {"version": 1, "family": "photo-float", "quality": quality, "config": config}
        save_file(tensors, path, {"aez": json.dumps(metadata)})


def start(net, init, count):
    """Parameters and directions to start from. Directions are None, for random ones, where a file has none."""
    if not init:
        return initial_parameters(net.layout, 1), None
    with safe_open(init, "pt") as file:
        directions = file.get_tensor("directions") if "directions" in file.keys() else None
        wanted = (count, net.layout.count)
        if directions is not None and tuple(directions.shape) != wanted:
            raise SystemExit(f"{init}: its directions have the shape {tuple(directions.shape)}, not {wanted}")
        return file.get_tensor("parameters"), directions


class Run:
    """Trains one network for a time, beside others. The learning rate follows the clock."""

    def __init__(self, text, number, crops, checks, options):
        quality, seconds, init, jitter, *_ = [*text.split(":"), "", "", ""]
        self.quality, self.seconds, self.options, self.checks = int(quality), float(seconds), options, checks
        self.jitter = float(jitter or options.jitter)
        self.path = f"{options.out}/q{quality}.safetensors"
        self.crops = crops.with_seed(number)
        self.stream = torch.cuda.Stream() if options.device == "cuda" else None
        # As `lambda` in the crate.
        lam = 0.05 * 2 ** (-(self.quality + max(0, self.quality - 80) - 1) / 11)
        with torch.cuda.stream(self.stream):
            net = FastNetwork(default_config(), options.edge, lam, options.device, options.library)
            self.trainer = Trainer(net, *start(net, init, options.directions), self.crops, options)
            self.size, self.every = options.batch // GROUPS, max(1, options.updates // GROUPS)
            for group in range(GROUPS):
                self.refill(group, max(0, options.updates - (group + 1) * self.every))
            self.trainer.step()
        self.best = math.inf

    def refill(self, group, age):
        rows = slice(group * self.size, (group + 1) * self.size)
        self.trainer.fill(rows, self.crops.crops(self.size), age, self.jitter)

    def validate(self, when):
        """Measures all crops to check, and saves the network if it is the best so far on the first ones, which are held out."""
        measured = [self.trainer.measure(targets) for _, targets in self.checks]
        for (name, _), (_, text, _) in zip(self.checks, measured):
            print(f"quality {self.quality}, {when}: {name} {text}", flush=True)
        loss, _, coefficients = measured[0]
        if loss < self.best:
            self.best = loss
            self.trainer.save(self.path, self.quality, coefficients)

    def train(self):
        with torch.cuda.stream(self.stream):
            self.validate("before")
            began = shown = time.time()
            self.trainer.loss.zero_()
            step = since = 0
            while True:
                if step % self.every == 0:
                    self.refill(step // self.every % GROUPS, 0)
                self.trainer.step()
                step, since = step + 1, since + 1
                if step % 50:
                    continue
                loss, bits = (self.trainer.loss / since).tolist()
                assert math.isfinite(loss), f"quality {self.quality} diverged: lower the rate"
                now = time.time()
                left = self.seconds - (now - began)
                if left < 0:
                    break
                self.trainer.total.fill_(step + left / ((now - began) / step))
                if now - shown > self.options.show:
                    print(f"quality {self.quality}, {step} steps, {now - began:.0f} s: loss {loss:.4f}, {bits:.4f} bits a pixel", flush=True)
                    self.validate(f"after {step} steps")
                    self.trainer.loss.zero_()
                    since, shown = 0, now
            self.validate(f"after {step} steps of {self.options.batch} crops")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", required=True, help="folders of pictures, FOLDER or FOLDER@WEIGHT")
    parser.add_argument("--networks", nargs="+", required=True, help="QUALITY:SECONDS[:INIT[:JITTER]]")
    parser.add_argument("--out", required=True, help="folder")
    parser.add_argument("--batch", type=int, default=32, help="crops of a step, a multiple of 16")
    parser.add_argument("--edge", type=int, default=256, help="width and height of crops")
    parser.add_argument("--rate", type=float, default=2e-3, help="highest learning rate of the weights")
    parser.add_argument("--directions", type=int, default=6)
    parser.add_argument("--jitter", type=float, default=11, help="crops have qualities up to this far from the network's")
    parser.add_argument("--updates", type=int, default=80, help="updates of the latents of a crop")
    parser.add_argument("--preparation", type=int, default=12, help="those before the crop has an influence on the weights")
    parser.add_argument("--check", nargs="*", default=[], help="folders of pictures that are only measured")
    parser.add_argument("--show", type=float, default=60, help="seconds between two lines")
    options = parser.parse_args()
    options.device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cuda.matmul.allow_tf32 = True
    os.makedirs(options.out, exist_ok=True)
    crops = Crops(options.data, options.edge, options.device)
    print(f"{len(crops.train)} training and {len(crops.held)} held-out pictures", flush=True)
    pictures = lambda folder: [picture.to(options.device) for _, picture in read_folder(folder, options.edge)]
    checks = [("held-out", fixed_crops(crops.held, options.edge))]
    checks += [(folder, fixed_crops(pictures(folder), options.edge)) for folder in options.check]
    with tempfile.TemporaryDirectory() as folder:
        options.library = library(folder, options.device)
        if options.device == "cuda":
            torch.cuda.synchronize()  # The networks have streams of their own, which must find the pictures.
        runs = [Run(text, number, crops, checks, options) for number, text in enumerate(options.networks)]
        # The kernels for the CPU are one at a time.
        with ThreadPoolExecutor(len(runs) if options.device == "cuda" else 1) as pool:
            for run in [pool.submit(run.train) for run in runs]:
                run.result()


if __name__ == "__main__":
    main()
