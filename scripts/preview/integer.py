"""The integer form of the model: conversion, arithmetic and file.

All arithmetic of the decoder is on integers. Here they are held in tensors of float64 or int64, which represent
them exactly.
"""

import json
import math

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from model import (COUNT, EDGE, KNOTS, KNOT_DISTANCE, LEVELS, MAGNITUDES, PER_OCTAVE, RANK, Decoder,
                   colour_matrix, dct_matrix, step_size)

FRACTION = 16  # fractions of a level
STATE_SHIFT = 3
GAIN_BITS = 7
PIXEL_BITS = 12  # fractional bits of pixels, whose range is about -1 to 1
HIDDEN_BITS = 10  # of hidden values
DEQUANTIZED_BITS = 8
SHRINK_BITS = 6
MATRIX_BITS = 14
STEP_BITS = 8
FEATURES = torch.round(32 * torch.log2(1 + torch.arange(64).double())).long()  # of magnitudes, at most 63


def convert_prior(prior):
    """Integer tensors of a trained prior."""
    read, write = prior.read.data.double(), prior.write.data.double()
    both = read.view(COUNT, 2, RANK).abs().amax((0, 1))
    most = write.abs().amax(0)
    # read8 * (write8 * (gain * feature >> 5) >> 3) >> shift is in fractions of a level.
    unit = PER_OCTAVE * FRACTION * 2.0**STATE_SHIFT / 2**GAIN_BITS
    shift = 0
    while shift < 24 and (2.0**-(shift + 1) / unit >= most * both / 127**2).all():
        shift += 1
    product = 2.0**-shift / unit
    write_step = most / 127 * torch.sqrt(product * 127**2 / (most * both))
    read_step = product / write_step
    weights = torch.softmax(prior.table.data.double(), 1) * 65535
    return {
        "prior.knots": (prior.knots.data * FRACTION).round().to(torch.int16),
        "prior.read": (read / read_step.repeat(2)).round().clamp(-127, 127).to(torch.int8),
        "prior.write": (write / write_step).round().clamp(-127, 127).to(torch.int8),
        "prior.shift": torch.tensor([shift], dtype=torch.uint8),
        "prior.gain": (prior.gain.data * 2**GAIN_BITS).round().clamp(0, 1023).to(torch.int16),
        "prior.weights": weights.round().clamp(min=1).to(torch.int32).to(torch.uint16),
    }


class IntegerPrior:
    """Probabilities of the coefficients, computed with integers only."""

    def __init__(self, tensors):
        get = lambda name: tensors["prior." + name].to(torch.int64)
        self.knots, self.read, self.write = get("knots"), get("read").double(), get("write").double()
        self.shift, self.gain, self.weights = int(get("shift")), get("gain"), get("weights")
        total = self.weights.sum(1, keepdim=True)
        below = torch.cat([torch.zeros(LEVELS, 1, dtype=torch.int64), self.weights.cumsum(1)], 1)
        self.frequencies = (below * 2**20) // total
        chance = (self.frequencies[:, 1:] - self.frequencies[:, :-1]).double() / 2**20
        self.lengths = -torch.log2(chance).float()
        self.lengths[:, 1:] += 1

    def offset(self, t):
        t = t.long()
        a = (t // KNOT_DISTANCE).clamp(max=KNOTS - 2)
        r = (t - KNOT_DISTANCE * a)[:, None]
        knots = self.knots.T
        return torch.div(knots[a] * (KNOT_DISTANCE - r) + knots[a + 1] * r, KNOT_DISTANCE, rounding_mode="floor")

    def gains(self, offset):
        return self.gain[((offset + FRACTION // 2) >> 4).clamp(0, LEVELS - 1)]

    def run(self, n, t, choose):
        """Visits the coefficients in order. `choose` maps index and levels [n] to symbols [n]."""
        offset = self.offset(t)
        gains = self.gains(offset)
        state = torch.zeros(n, RANK, dtype=torch.float64)
        levels = torch.zeros(n, COUNT, dtype=torch.long)
        for i in range(COUNT):
            s = torch.floor(state / 2**STATE_SHIFT).clamp_(-32768, 32767)
            added = torch.floor((s @ self.read[i, :RANK] + s.relu() @ self.read[i, RANK:]) / 2**self.shift).long()
            level = ((offset[:, i] + added + FRACTION // 2) >> 4).clamp_(0, LEVELS - 1)
            levels[:, i] = level
            magnitude = choose(i, level)
            f = FEATURES[magnitude.clamp(max=63)] * gains[:, i] >> 5
            state += f.double()[:, None] * self.write[i]
        return levels

    def quantize(self, y, t, cost):
        """As in the trained prior: symbols, levels and code lengths."""
        u = y / step_size(t)[:, None]
        symbols = torch.zeros(y.shape, dtype=torch.long)
        total = torch.zeros(len(y))
        flat = self.lengths.flatten()

        def choose(i, level):
            size = u[:, i].abs()
            top = size.round()
            choices = torch.stack([torch.zeros_like(top), (top - 1).clamp_(min=0), top])
            magnitude = choices.long()
            bits = flat[level * MAGNITUDES + magnitude.clamp(max=MAGNITUDES - 1)]
            if i < 32:
                bits = bits + escape_length(magnitude)
            _, pick = ((choices - size) ** 2 + cost * bits).min(0)
            chosen = magnitude.gather(0, pick[None])[0]
            total.add_(bits.gather(0, pick[None])[0])
            symbols[:, i] = chosen * u[:, i].sign().long()
            return chosen

        levels = self.run(len(y), t, choose)
        return symbols, levels, total

    def measure(self, q, t):
        """Levels and code lengths of given symbols."""
        magnitude = q.abs()
        levels = self.run(len(q), t, lambda i, level: magnitude[:, i])
        return levels, self.symbol_bits(levels, q).sum(1)

    def symbol_bits(self, levels, q):
        magnitude = q.abs()
        return self.lengths[levels, magnitude.clamp(max=MAGNITUDES - 1)] + escape_length(magnitude)

    def put(self, encoder, level, symbol):
        """Codes a symbol: magnitude, the rest of a large magnitude, sign."""
        magnitude = abs(symbol)
        index = min(magnitude, MAGNITUDES - 1)
        if not hasattr(self, "listed"):
            self.listed = self.frequencies.tolist()
        encoder.put(self.listed[level][index], self.listed[level][index + 1])
        if index == MAGNITUDES - 1:
            rest = magnitude - index + 1
            count = rest.bit_length() - 1
            for k in range(count + 1):
                encoder.put_bits(int(k < count), 1)
            if count:
                encoder.put_bits(rest - (1 << count), count)
        if magnitude:
            encoder.put_bits(int(symbol < 0), 1)

    def put_many(self, encoders, levels, q):
        """Codes rows of symbols, each with its own encoder."""
        table = self.frequencies.numpy()
        q, levels = q.numpy(), levels.numpy()
        everything = np.arange(len(q))
        for i in range(COUNT):
            magnitude, level = np.abs(q[:, i]), levels[:, i]
            index = np.minimum(magnitude, MAGNITUDES - 1)
            encoders.put(everything, table[level, index], table[level, index + 1])
            put_rest(encoders, np.nonzero(index == MAGNITUDES - 1)[0], magnitude)
            rows = np.nonzero(magnitude)[0]
            sign = (q[rows, i] < 0).astype(np.int64)
            encoders.put(rows, sign << 19, (sign + 1) << 19)


def put_rest(encoders, rows, magnitude):
    """The exponential Golomb codes of large magnitudes."""
    rest = magnitude[rows] - (MAGNITUDES - 1) + 1
    count = np.floor(np.log2(np.maximum(rest, 1))).astype(np.int64)
    for k in range(int(count.max(initial=-1)) + 1):
        more = count >= k
        bit = (count[more] > k).astype(np.int64)
        encoders.put(rows[more], bit << 19, (bit + 1) << 19)
    for k in range(1, int(count.max(initial=0)) + 1):
        same = count == k
        value = rest[same] - (1 << k)
        encoders.put(rows[same], value << (20 - k), (value + 1) << (20 - k))


def escape_length(magnitude):
    rest = (magnitude - (MAGNITUDES - 1)).clamp(min=0).float()
    length = 2 * torch.floor(torch.log2(rest + 1)) + 1
    return torch.where(magnitude >= MAGNITUDES - 1, length, torch.zeros_like(length))


def layers_of(net):
    names = ["first", "down"]
    for i in range(len(net.blocks)):
        names += [f"blocks.{i}.window", f"blocks.{i}.narrow"]
    return names + ["up", "middle", "last"]


def convert_layer(layer, by_step, bits_in):
    """Weights of 8 bits, a bias of 32 bits and a shift for each output."""
    weight, bias = layer.weight.data.double(), layer.bias.data.double()
    most = weight.abs().flatten(1).amax(1).clamp(min=1e-6)
    shift = torch.floor(torch.log2(127 / most)).clamp(0, 16)
    unit = 2**shift
    tensors = {
        "weight": (weight * unit[:, None, None, None]).round().clamp(-127, 127).to(torch.int8),
        "bias": (bias * unit * 2**bits_in).round().to(torch.int32),
        "shift": shift.to(torch.uint8),
    }
    if by_step is not None:
        tensors["by_step"] = (by_step.flatten().double() / 8 * unit * 2**bits_in).round().to(torch.int32)
    return tensors


def convert(prior, net):
    tensors = convert_prior(prior)
    tensors["order"] = net.order.to(torch.int16)
    tensors["shrink"] = (net.shrink.data * 2**SHRINK_BITS).round().clamp(-127, 127).to(torch.int8)
    for name in layers_of(net):
        layer = net.get_submodule(name)
        by_step = None
        if name.endswith("window"):
            by_step = net.get_submodule(name[:-7]).by_step.data
        bits = PIXEL_BITS if name == "first" else HIDDEN_BITS
        for key, value in convert_layer(layer, by_step, bits).items():
            tensors[f"{name}.{key}"] = value.contiguous()
    return tensors


class IntegerDecoder(Decoder):
    """The decoder on integers. With gradients it computes the same in floating point, for the encoder's search."""

    def __init__(self, tensors):
        super().__init__(tensors["order"].long())
        self.tensors = tensors
        self.shrink.data = tensors["shrink"].float() / 2**SHRINK_BITS
        for name in layers_of(self):
            layer = self.get_submodule(name)
            unit = 2.0 ** tensors[name + ".shift"].double()
            bits = PIXEL_BITS if name == "first" else HIDDEN_BITS
            layer.weight.data = (tensors[name + ".weight"].double() / unit[:, None, None, None]).float()
            layer.bias.data = (tensors[name + ".bias"].double() / unit / 2**bits).float()
            if name.endswith("window"):
                by_step = tensors[name + ".by_step"].double() * 8 / unit / 2**bits
                self.get_submodule(name[:-7]).by_step.data = by_step.float()[:, None, None]
        self.eval()

    def dequantize_integer(self, q, levels, t):
        m = q.abs()
        shrink = self.tensors["shrink"].long()[levels, (m - 1).clamp(0, 2)]
        size = (m << SHRINK_BITS) - torch.where(m > 0, shrink, 0)
        step = torch.round(step_size(t.double()) * 2**STEP_BITS).long()[:, None]
        half = 1 << (SHRINK_BITS - 1)
        value = (size * step + half) >> SHRINK_BITS
        return q.sign() * value

    def integers(self, q, levels, t):
        z = self.dequantize_integer(q, levels, t).double()
        full = z.new_zeros(len(z), 3 * EDGE * EDGE)
        full[:, self.order] = z
        rows = torch.round(dct_matrix(EDGE).double() * 2**MATRIX_BITS)
        # The vertical direction first.
        x = rows.T @ full.view(-1, 3, EDGE, EDGE)
        x = shift_right(x, MATRIX_BITS + DEQUANTIZED_BITS - PIXEL_BITS)
        picture = limit(shift_right(x @ rows, MATRIX_BITS))
        t = t.double()
        x = F.pixel_unshuffle(picture, 2)
        n = len(x)
        step = torch.floor((t - 8) * 2**PIXEL_BITS / 8 + 0.5)[:, None, None, None].expand(n, 1, 24, 24)
        place = torch.floor(self.place.double() * 2**PIXEL_BITS + 0.5).expand(n, 2, 24, 24)
        fine = self.layer("first", torch.cat([x, step, place], 1), PIXEL_BITS, padding=1).relu()
        x = self.layer("down", fine, HIDDEN_BITS, stride=2).relu()
        for i, block in enumerate(self.blocks):
            d = block.window.dilation[0]
            hidden = self.layer(f"blocks.{i}.window", x, HIDDEN_BITS, t, padding=d, dilation=d).relu()
            x = limit(x + self.layer(f"blocks.{i}.narrow", hidden, HIDDEN_BITS))
        x = limit(fine + F.pixel_shuffle(self.layer("up", x, HIDDEN_BITS), 2)).relu()
        x = limit(fine + self.layer("middle", x, HIDDEN_BITS, padding=1)).relu()
        more = self.layer("last", x, HIDDEN_BITS, padding=1, out=PIXEL_BITS)
        return picture + F.pixel_shuffle(more, 2)

    def layer(self, name, x, bits, t=None, out=HIDDEN_BITS, **options):
        get = lambda key: self.tensors[f"{name}.{key}"].double()
        y = F.conv2d(x, get("weight"), **options) + get("bias")[:, None, None]
        if t is not None:
            y = y + ((t - 8)[:, None] * get("by_step"))[:, :, None, None]
        return limit(shift_right(y, get("shift")[:, None, None] + bits - out))

    def decode(self, q, levels, t):
        """Pictures [n, 3, 48, 48] in the orthonormal colour space."""
        return (self.integers(q, levels, t) / 2**PIXEL_BITS).float()


def levels_of(picture):
    """Levels [n, 48, 48, 3] from 0 to 255 of the decoder's result [n, 3, 48, 48]."""
    x = (picture.double() * 2**PIXEL_BITS).round().permute(0, 2, 3, 1)
    matrix = torch.round(colour_matrix().double() * 255 * 2**8)
    return torch.floor((x @ matrix + 255 * 2**19) / 2**20 + 0.5).clamp(0, 255).float()


def shift_right(x, bits):
    """The nearest integer to x / 2^bits, halves upwards."""
    return torch.floor(x / 2.0**bits + 0.5)


def limit(x):
    return x.clamp(-32768, 32767)


def store(path, prior, net):
    metadata = {"aez": json.dumps({"version": 1, "family": "preview"})}
    save_file(convert(prior, net), path, metadata)


def load(path):
    tensors = load_file(path)
    return IntegerPrior(tensors), IntegerDecoder(tensors)
