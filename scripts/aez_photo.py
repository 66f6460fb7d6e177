"""The photo family of the second reader, written from section 16 of format-spec.md only. It needs the package `numpy`.

Matrices are multiplied in floating point, which is exact here: the model is checked so that no sum exceeds 32 bits.
"""

import copy
import functools
import hashlib
import json

import numpy as np

from aez_basics import RangeDecoder, frequencies, need
from aez_model import Tensors

PASSES = [(0, 0), (1, 1), (0, 1), (1, 0)]
# The position and its neighbours: at the next column, the column before, the next row and the row before.
CROSS = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)]
WINDOW = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)]
FIELDS = {
    "channels": (1, 8), "features": (1, 32), "wide": None, "wide_chroma": None, "hidden": (1, 32),
    "neighbours": (0, 12), "before": (0, 5), "coarser": (0, 5), "guides": (0, 32),
}  # fmt: skip
MAX_DIRECTIONS, MAX_COEFFICIENT, COEFFICIENT_SCALE = 16, 127, 45
LATENT, OTHER = 4095, 32768


# Model.


def has_directions(name):
    """Whether directions move a layer."""
    net, level, *_, part = name.split(".")
    return int(level) <= (1 if net == "context" else 2) and part != "scale"


class Layer:
    """A layer; `bounds` has one bound for each tap."""

    def __init__(self, tensors, network, name, bounds, outputs, directions):
        def part(part, dtype, count):
            return tensors.get(f"{network}.{name}.{part}", dtype, count)

        taps = len(bounds)
        stored = [part("weight", "I16", taps * outputs), part("bias", "I32", outputs), part("shift", "U8", outputs)]
        weight, bias, shift = (each.astype(np.int64) for each in stored)
        self.name, self.outputs, self.shift = name, outputs, shift
        self.bounds = np.array(bounds, np.int64)
        self.directions = None
        if directions and has_directions(name):
            stored += [part("direction", "I8", directions * (taps + 1) * outputs), part("exponent", "U8", 3 * outputs)]
            self.directions, exponents = (each.astype(np.int64) for each in stored[3:])
            self.directions = self.directions.reshape(directions, taps + 1, outputs)
            need(all(1 <= each <= 40 for each in exponents), f"exponents of {name}", "model")
            rows = [0 if bound == LATENT else 1 for bound in bounds] + [2]
            self.exponents = exponents.reshape(3, outputs)[rows]
        self.stored = b"".join(each.tobytes() for each in stored)
        need(not outputs or max(self.shift) <= 24, f"shifts of {name}", "model")
        self.set(weight.reshape(taps, outputs), bias, "model")

    def set(self, weight, bias, kind):
        self.weight, self.bias = weight, bias
        sums = abs(bias) + (abs(weight) * self.bounds[:, None]).sum(axis=0)
        need(not self.outputs or max(sums) <= 2**31 - 1 - 2**17, f"sums of {self.name}", kind)

    def moved(self, coefficients):
        """The layer whose weights and biases coefficients have moved."""
        if self.directions is None:
            return self
        sums = np.tensordot(np.array(coefficients, np.int64), self.directions, 1)
        by = (sums * 2**16 + (1 << (self.exponents - 1))) >> self.exponents
        weight, bias = self.weight + by[:-1], self.bias + by[-1]
        need((abs(2 * weight + 1) < 2**16).all(), f"moved weights of {self.name}")
        need((abs(2 * bias + 1) < 2**32).all(), f"moved biases of {self.name}")
        moved = copy.copy(self)
        moved.set(weight, bias, "damaged")
        return moved

    def __call__(self, taps, shape):
        """The outputs at positions of this shape, before they are limited. A tap is an array of the same shape."""
        result = np.empty((self.outputs, *shape), np.int64)
        bands = range(0, shape[0], max(1, (1 << 18) // shape[1])) if shape[1] else []
        for band in (slice(at, at + bands.step) for at in bands):
            sums = np.broadcast_to(self.bias[:, None, None], result[:, band].shape)
            if taps:
                values = np.stack([tap[band] for tap in taps]).astype(np.float64)
                products = self.weight.T.astype(np.float64) @ values.reshape(len(taps), -1)
                sums = sums + products.astype(np.int64).reshape(sums.shape)
            result[:, band] = sums >> self.shift[:, None, None]
        return result


class Network:
    """The layers of one network."""

    def __init__(self, tensors, index, levels, directions):
        self.levels, self.layers, self.directions = levels, {}, directions

        def add(name, bounds, outputs):
            self.layers[name] = Layer(tensors, index, name, bounds, outputs, directions)

        for i, level in enumerate(levels):
            hidden = level["hidden"]
            for c in range(level["channels"]):
                for p in range(len(PASSES)):
                    bounds = [LATENT] * len(self.latent_taps(i, c, p)) + [OTHER] * level["guides"]
                    add(f"context.{i}.{c}.{p}.first", bounds, hidden)
                    add(f"context.{i}.{c}.{p}.second", [OTHER] * hidden, hidden)
                    add(f"context.{i}.{c}.{p}.output", [OTHER] * hidden + bounds, 2)
        for i, level in enumerate(levels):
            channels, features = level["channels"], level["features"]
            add(f"synthesis.{i}.scale", [LATENT], 1)
            add(f"synthesis.{i}.linear", [OTHER] * channels, 3)
            chroma = 9 if level["wide_chroma"] else 1
            add(f"synthesis.{i}.first", [OTHER] * (9 * (channels + 1) + 2 * chroma), features)
            add(f"synthesis.{i}.second", [OTHER] * (9 if level["wide"] else 1) * features, features)
            add(f"synthesis.{i}.output", [OTHER] * (1 if i else 9) * features, 3)
            add(f"synthesis.{i}.carry", [OTHER] * features, levels[i - 1]["features"] if i else 0)

    def moved(self, coefficients):
        """The network whose weights coefficients have moved."""
        moved = copy.copy(self)
        moved.layers = {name: layer.moved(coefficients) for name, layer in self.layers.items()}
        return moved

    def latent_taps(self, i, c, p):
        """The latents that `first` reads: level, channel, and the distance in rows and columns."""
        level, coarser = self.levels[i], self.levels[i + 1] if i + 1 < len(self.levels) else None
        taps = [(i, c, *distance) for distance in known(p)[: level["neighbours"]]]
        if c > 0:
            taps += [(i, c - 1, *distance) for distance in CROSS[: level["before"]]]
        if c > 1:
            taps.append((i, 0, 0, 0))
        if coarser:
            last = coarser["channels"] - 1
            s = min(c, last)
            taps += [(i + 1, s, *distance) for distance in CROSS[: level["coarser"]]]
            if last > 0 and level["coarser"] > 1:
                taps.append((i + 1, 0 if s else last, 0, 0))
        return taps


def known(p):
    """Distances from a position of pass `p` to those of earlier passes, the nearest first."""
    row, column = PASSES[p]
    near = [
        (y, x)
        for y in range(-4, 5)
        for x in range(-4, 5)
        if ((row + y) % 2, (column + x) % 2) in PASSES[:p]
    ]
    return sorted(near, key=lambda d: (d[0] ** 2 + d[1] ** 2, abs(d[0]) + abs(d[1]), *d))


def check_levels(levels):
    def is_valid(value, bounds):
        return type(value) is bool if bounds is None else type(value) is int and bounds[0] <= value <= bounds[1]

    need(type(levels) is list and 2 <= len(levels) <= 10, "number of levels", "model")
    for level in levels:
        need(type(level) is dict and set(level) == set(FIELDS), "fields of a level", "model")
        for name, bounds in FIELDS.items():
            need(is_valid(level[name], bounds), f"{name} of a level", "model")
    for level, coarser in zip(levels, [*levels[1:], {"features": 0}]):
        need(level["guides"] <= coarser["features"], "guides of a level", "model")


def check_fields(value, fields):
    need(type(value) is dict and set(value) == set(fields), f"fields other than {fields}", "model")


class PhotoModel:
    """A model: networks for some qualities."""

    family = 3

    def __init__(self, about, header, values):
        check_fields(about, ["version", "family", "networks"])
        need((about["version"], about["family"]) == (1, "photo"), "version or family", "model")
        tensors, entries = Tensors(header, values), about["networks"]
        need(type(entries) is list and 1 <= len(entries) <= 100, "number of networks", "model")
        self.networks, hash, last = {}, hashlib.sha256(b"photo"), 0
        for index, entry in enumerate(entries):
            if type(entry) is dict:
                entry.pop("training", None)
            check_fields(entry, ["quality", "config"])
            config = entry["config"]
            directions = config.pop("directions", 0) if type(config) is dict else 0
            check_fields(config, ["levels"])
            need(type(directions) is int and 0 <= directions <= MAX_DIRECTIONS, "number of directions", "model")
            quality, levels = entry["quality"], config["levels"]
            need(type(quality) is int and last < quality <= 100, "qualities of the networks", "model")
            last = quality
            check_levels(levels)
            self.networks[quality] = network = Network(tensors, index, levels, directions)
            config = {"levels": [{name: level[name] for name in FIELDS} for level in levels]}
            config |= {"directions": directions} if directions else {}
            hash.update(bytes([quality]) + json.dumps(config, separators=(",", ":")).encode())
            for layer in network.layers.values():
                hash.update(layer.name.encode() + layer.stored)
        self.id = hash.digest()[:4]

    def decode(self, header, payload):
        """The coefficients and latents in the order in which they are coded, and the levels of all pixels."""
        need(header["coder"] == "range", "a photo that is coded by zstd")
        quality = header["quality"]
        trained = min(self.networks, key=lambda each: (abs(place(each) - place(quality)), each))
        network, decoder = self.networks[trained], RangeDecoder(payload)
        coefficients = [0] * network.directions
        if coefficients and decoder.symbol(BIT):
            coefficients = [latent(decoder, 0, COEFFICIENT_SCALE) for _ in coefficients]
            need(any(coefficients), "coefficients that are all 0")
            need(max(map(abs, coefficients)) <= MAX_COEFFICIENT, "a coefficient is out of range")
        network = network.moved(coefficients)
        picture = Picture(network, factor(place(trained) - place(quality)), header["height"], header["width"])
        for i in reversed(range(len(picture.network.levels))):
            picture.decode_level(i, decoder)
        decoder.finish()
        rgb = pixels(picture.picture)
        if header["gray"]:
            rgb = np.repeat((2 * rgb.sum(axis=2, keepdims=True) + 3) // 6, 3, axis=2)
        return coefficients + picture.coded, rgb.ravel().tolist()


# Latents.

DECAYS = [
    542117882, 691374388, 856884361, 1035568444, 1223967808, 1418507033, 1615718013, 1812411093,
    2005790141, 2193515739, 2373725000, 2545018319, 2706423265, 2857344640, 2997507991, 3126902041,
    3245723793, 3354328649, 3453186770, 3542846103, 3623901930, 3696972476, 3762679889, 3821635868,
    3874431187, 3921628407, 3963757157, 4001311421, 4034748382, 4064488418, 4090915943, 4114380850,
    4135200330, 4153660949, 4170020832, 4184511893, 4197342034, 4208697266, 4218743737, 4227629636,
    4235486959, 4242433152, 4248572608, 4253998038, 4258791718, 4263026613, 4266767392, 4270071344,
    4272989197, 4275565850, 4277841028, 4279849872, 4281623453, 4283189244, 4284571525, 4285791755,
    4286868892, 4287819687, 4288658937, 4289399708, 4290053542, 4290630632, 4291139976, 4291589521,
]  # fmt: skip
LENGTHS, BIT = frequencies([1] * 14), frequencies([1, 1])


@functools.cache
def distances(k, part):
    """The largest distance `R` and the cumulative frequencies of `-R` to `R`."""
    q = 185 * k
    R = ((309 * (1024 + q % 1024) << (q // 1024)) >> 20) + 3
    E = [1 << 32]
    for _ in range(16 * R):
        E.append(E[-1] * DECAYS[k] >> 32)

    def below(d):
        n = 16 * d + 8 - part
        return E[-n] // 2 if n < 0 else (1 << 32) - E[n] // 2

    inner = [(below(j - 1 - R) * ((1 << 20) - 8 * (2 * R + 1)) >> 32) + 8 * j for j in range(1, 2 * R + 1)]
    return R, [0, *inner, 1 << 20]


def latent(decoder, location, scale):
    """Decodes a latent. The location is in sixteenths."""
    center, part = (location + 8) // 16, (location + 8) % 16 - 8
    R, F = distances(min(max(scale, 0), 63), part)
    d = decoder.symbol(F) - R
    if abs(d) == R:
        beyond = 1
        for _ in range(decoder.symbol(LENGTHS)):
            beyond = 2 * beyond + decoder.symbol(BIT)
        d += beyond - 1 if d > 0 else 1 - beyond
    need(-LATENT <= center + d <= LATENT, "a latent is out of range")
    return center + d


# Pictures.


def limit(values):
    return np.clip(values, -32768, 32767)


def relu(values):
    return np.clip(values, 0, 32767)


def windows(planes):
    """The taps of windows on planes, which are extended by their outer values."""
    rows, columns = planes.shape[1:]
    padded = np.pad(planes, ((0, 0), (1, 1), (1, 1)), "edge")
    return [plane[1 + y : 1 + y + rows, 1 + x : 1 + x + columns] for plane in padded for y, x in WINDOW]


def enlarge(planes, rows, columns, weights):
    """Planes of the finer level, before they are rounded. Weights of `a`, `b`, `b'` and `a'`."""
    padded = np.pad(planes, ((0, 0), (2, 2), (2, 2)), "edge")
    for axis, count in (1, rows), (2, columns):
        a = np.arange(count) // 2 + 2
        toward = np.arange(count) % 2 * 2 - 1
        sources = zip(weights, (a, a + toward, a + 2 * toward, a - toward))
        padded = sum(weight * np.take(padded, source, axis) for weight, source in sources)
    return padded


def place(quality):
    """Qualities above 80 count twice."""
    return quality + max(0, quality - 80)


def factor(e):
    """The factor of the steps, where the network is for a quality that is higher by `e`."""
    s = 8 - e // 22
    return (round(2 ** (20 + e % 22 / 22)) + (1 << (s - 1))) >> s


class Picture:
    """What is decoded of a picture: of the last level its latents, features, picture and carry."""

    def __init__(self, network, m, height, width):
        self.network, self.m, self.height, self.width = network, m, height, width
        self.latents, self.features, self.picture, self.carry = {}, None, None, None
        self.coded = []

    def decode_level(self, i, decoder):
        rows, columns = -(-self.height // 2**i), -(-self.width // 2**i)
        channels = self.network.levels[i]["channels"]
        # Four rows and columns more on each side, for taps outside of the level.
        self.latents[i] = np.zeros((channels, rows + 8, columns + 8), np.int64)
        for c in range(channels):
            for p in range(len(PASSES)):
                self.decode_pass(i, c, p, (rows, columns), decoder)
        self.synthesize(i, rows, columns)

    def decode_pass(self, i, c, p, size, decoder):
        row, column = PASSES[p]
        shape = [(length - start + 1) // 2 for length, start in zip(size, PASSES[p])]
        if 0 in shape:
            return

        def tap(level, channel, y, x):
            plane = self.latents[level][channel]
            # In the coarser level, the positions of a pass are at all rows and columns.
            row0, column0, step = (row, column, 2) if level == i else (0, 0, 1)
            plane = plane[4 + row0 + y :: step, 4 + column0 + x :: step]
            return plane[: shape[0], : shape[1]]

        taps = [tap(*each) for each in self.network.latent_taps(i, c, p)]
        taps += [self.features[g, : shape[0], : shape[1]] for g in range(self.network.levels[i]["guides"])]
        first, second, output = (
            self.network.layers[f"context.{i}.{c}.{p}.{part}"] for part in ("first", "second", "output")
        )
        hidden = relu(second(list(relu(first(taps, shape))), shape))
        locations, scales = limit(output([*hidden, *taps], shape)).reshape(2, -1).tolist()
        found = [latent(decoder, *each) for each in zip(locations, scales)]
        self.coded += found
        own = self.latents[i][c, 4:-4, 4:-4]
        own[row::2, column::2] = np.array(found).reshape(shape)

    def synthesize(self, i, rows, columns):
        level, shape = self.network.levels[i], (rows, columns)

        def layer(name, taps):
            return self.network.layers[f"synthesis.{i}.{name}"](list(taps), shape)

        scale = self.network.layers[f"synthesis.{i}.scale"]
        s = int(scale.shift[0]) + 12
        latents = self.latents[i][:, 4:-4, 4:-4]
        y = limit((latents * int(scale.weight[0, 0]) * self.m + (1 << (s - 1))) >> s)
        r, carried = layer("linear", y), 0
        if self.picture is not None:
            r = r + ((enlarge(self.picture, rows, columns, (111, 29, -3, -9)) + 8192) >> 14)
            carried = (enlarge(self.carry, rows, columns, (3, 1, 0, 0)) + 8) >> 4
        r = limit(r)
        chroma = windows(r[1:]) if level["wide_chroma"] else [*r[1:]]
        hidden = relu(layer("first", windows(y) + windows(r[:1]) + chroma) + carried)
        self.features = relu(layer("second", windows(hidden) if level["wide"] else hidden))
        self.picture = limit(r + layer("output", self.features if i else windows(self.features)))
        self.carry = limit(layer("carry", self.features))


def pixels(picture):
    """The levels of red, green and blue: an array of rows, columns and colours."""
    Y, U, V = picture
    sums = [8160 * Y + 11440 * V, 8160 * Y - 2808 * U - 5827 * V, 8160 * Y + 14460 * U]
    return np.clip((np.stack(sums, axis=2) + 33423360 + 131072) >> 18, 0, 255)
