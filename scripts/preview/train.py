"""Trains the prior, then the decoder, and stores the integer model.

    python data.py train DATA FOLDER...
    python train.py prior DATA OUT
    python train.py decoder DATA OUT
    python train.py pack DATA OUT          writes OUT/preview.safetensors
"""

import argparse
import pathlib
import time

import torch

from integer import store
from model import COUNT, EDGE, Decoder, Prior, colour_matrix, dct_matrix, step_size

ODD = torch.arange(3 * EDGE * EDGE) % EDGE % 2 == 1  # their sign changes when the picture is mirrored
TESTED_STEPS = (12, 10, 8, 6, 4, 1)


def pixels(coefficients):
    rows = dct_matrix(EDGE)
    return rows.T @ coefficients.view(-1, 3, EDGE, EDGE) @ rows


def clipped(picture):
    return ((picture.permute(0, 2, 3, 1) @ colour_matrix()) + 0.5).clamp(0, 1)


class Data:
    def __init__(self, name):
        self.train, self.rest = torch.load(name + ".pt")
        self.held, self.held_rest = torch.load(name + "-held.pt")
        power = torch.zeros(self.train.shape[1])
        for part in self.train.split(2000):
            power += (part.float() ** 2).sum(0)
        self.order = power.argsort(descending=True)[:COUNT]
        self.deviations = (power[self.order] / len(self.train)).sqrt()


def train_prior(data, out, seconds):
    prior = Prior()
    prior.start(data.deviations)
    rates = {"knots": 2e-2, "table": 2e-2, "gain": 2e-2, "read": 4e-3, "write": 1e-2}
    groups = [{"params": [getattr(prior, name)], "base": rate} for name, rate in rates.items()]
    optimizer = torch.optim.Adam(groups, lr=1e-2)
    odd = ODD[data.order]
    start, i = time.time(), 0
    while (done := (time.time() - start) / seconds) < 1:
        for group in optimizer.param_groups:
            group["lr"] = group["base"] * min(1, 1.5 * (1 - done))
        if i % 64 == 0:
            picked = torch.randint(len(data.train), (2048,))
            y = data.train[picked[:, None], data.order].float()
            y = torch.where((torch.rand(len(y)) < 0.5)[:, None] & odd, -y, y)
            y = y * (torch.randn(len(y), 1) * 0.25).exp()
            t = (torch.rand(len(y)).pow(0.8) * 29).floor().clamp(max=28)
            if done < 0.25:
                u = y / step_size(t)[:, None]
                q = (u.sign() * (u.abs() + 0.33).floor()).long()
            else:
                q, _, _ = prior.quantize(y, t, torch.rand(len(y)) * 0.12 + 0.06)
        j = torch.randint(len(q), (128,))
        bits = prior.bits(q[j], t[j]).sum(1)
        # About the relative change of the length, so that all rates count.
        loss = (bits / (bits.detach() + 30)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        i += 1
        if i % 100 == 0:
            print(i, f"{time.time() - start:.0f} s, {bits.mean().item():.1f} bits", flush=True)
    torch.save(prior.state_dict(), out / "prior.pt")


class Samples:
    """Quantized training pictures, some replaced at each call of `renew`."""

    SIZE, PARTS = 2048, 24

    def __init__(self, data, prior):
        self.data, self.prior, self.parts = data, prior, []
        self.odd = ODD[data.order]
        for _ in range(4):
            self.renew()

    def renew(self):
        n = self.SIZE
        s = {
            "picked": torch.randint(len(self.data.train), (n,)),
            "mirrored": (torch.rand(n) < 0.5)[:, None],
            "contrast": (torch.randn(n, 1) * 0.15).exp(),
            "brightness": torch.randn(n) * 0.02 * EDGE * 3**0.5,
            "t": ((torch.rand(n) + torch.rand(n) * 0.6) * 10).floor().clamp(0, 15),
        }
        y = self.data.train[s["picked"][:, None], self.data.order].float()
        y = torch.where(s["mirrored"] & self.odd, -y, y) * s["contrast"]
        y[:, 0] += s["brightness"]
        q, levels, _ = self.prior.quantize(y, s["t"], torch.rand(n) * 0.08 + 0.08)
        s["q"], s["levels"] = q.to(torch.int16), levels.to(torch.uint8)
        if len(self.parts) >= self.PARTS:
            self.parts.pop(0)
        self.parts.append(s)

    def batch(self, size):
        part = self.parts[torch.randint(len(self.parts), (1,)).item()]
        j = torch.randint(self.SIZE, (size,))
        s = {key: value[j] for key, value in part.items()}
        c = self.data.train[s["picked"]].float()
        c = torch.where(s["mirrored"] & ODD, -c, c) * s["contrast"]
        c[:, 0] += s["brightness"]
        rest = self.data.rest[s["picked"]] * s["contrast"][:, 0] ** 2
        return s["q"].long(), s["levels"].long(), s["t"], pixels(c), rest


class HeldOut:
    """PSNR of held out pictures without and with the network, at some steps."""

    def __init__(self, data, prior):
        y = data.held[:, data.order].float()
        self.original, self.rest = unclipped(pixels(data.held.float())), data.held_rest
        self.sets = []
        for step in TESTED_STEPS:
            t = torch.full((len(y),), float(step))
            q, levels, bits = prior.quantize(y, t, torch.full((len(y),), 0.12))
            self.sets.append((bits.mean().item() / 8, q, levels, t))

    def psnr(self, picture):
        error = ((clipped(picture) - self.original) ** 2).mean((1, 2, 3)) + self.rest
        return (-10 * torch.log10(error)).mean().item()

    @torch.no_grad()
    def report(self, net):
        texts = []
        for size, q, levels, t in self.sets:
            linear = net.linear(net.dequantize(q, levels, t))
            texts.append(f"{size:.0f} bytes {self.psnr(linear):.3f} > {self.psnr(net.refine(linear, t)):.3f}")
        return "; ".join(texts)


def unclipped(picture):
    return picture.permute(0, 2, 3, 1) @ colour_matrix() + 0.5


def train_decoder(data, out, seconds, rate, size):
    prior = Prior()
    prior.load_state_dict(torch.load(out / "prior.pt"))
    net = Decoder(data.order)
    if (out / "decoder.pt").exists():
        net.load_state_dict(torch.load(out / "decoder.pt"))
    net = net.to(memory_format=torch.channels_last)
    mean = {key: value.clone() for key, value in net.state_dict().items()}
    optimizer = torch.optim.Adam(net.parameters(), lr=rate, betas=(0.9, 0.99))
    samples, held_out = Samples(data, prior), HeldOut(data, prior)
    start = last = time.time()
    i = 0
    while (done := (time.time() - start) / seconds) < 1:
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, i / 200 + 0.01) * (1 if done < 0.3 else max(0.01, (1 - done) / 0.7))
        if i % 48 == 47:
            samples.renew()
        q, levels, t, original, rest = samples.batch(size)
        picture = net.linear(net.dequantize(q, levels, t))
        with torch.autocast("cpu", torch.bfloat16):
            picture = net.refine(picture, t)
        error = ((picture - original) ** 2).mean((1, 2, 3)) + rest
        loss = 10 * torch.log10(error).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimizer.step()
        i += 1
        # The mean of the weights over the last steps is better than the weights of the last step.
        decay = min(0.995, i / (i + 50))
        with torch.no_grad():
            for key, value in net.state_dict().items():
                if value.is_floating_point():
                    mean[key].lerp_(value, 1 - decay)
        if time.time() - last > 60 or time.time() - start >= seconds:
            last = time.time()
            now = {key: value.clone() for key, value in net.state_dict().items()}
            net.load_state_dict(mean)
            print(i, f"{last - start:.0f} s;", held_out.report(net), flush=True)
            torch.save(mean, out / "decoder.pt")
            net.load_state_dict(now)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("stage", choices=("prior", "decoder", "pack"))
    arguments.add_argument("data")
    arguments.add_argument("out", type=pathlib.Path)
    arguments.add_argument("--seconds", type=float, default=2000)
    arguments.add_argument("--rate", type=float, default=2e-3)
    arguments.add_argument("--batch", type=int, default=64)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    data, out = Data(options.data), options.out
    if options.stage == "prior":
        train_prior(data, out, options.seconds)
    elif options.stage == "decoder":
        train_decoder(data, out, options.seconds, options.rate, options.batch)
    else:
        prior, net = Prior(), Decoder(data.order)
        prior.load_state_dict(torch.load(out / "prior.pt"))
        net.load_state_dict(torch.load(out / "decoder.pt"))
        store(out / "preview.safetensors", prior, net)


if __name__ == "__main__":
    main()
