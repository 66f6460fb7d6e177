"""The preview family of the second reader, written from sections 15.1 to 15.3 of format-spec.md only. It needs the package `numpy`."""

import hashlib
import math

import numpy as np

from aez_basics import frequencies, need
from aez_model import Tensors

EDGE, COUNT, LEVELS = 48, 576, 64
STEP_WEIGHTS = [2, 5, 8, 8, 8, 8, 6, 4, 2, 1, 1, 1, 1, 1, 1]
STEPS = [64, 91, 128, 181, 256, 362, 512, 724, 1024, 1448, 2048, 2896, 4096, 5793, 8192]
MATRIX = np.array([[37689, 37689, 37689], [46160, 0, -46160], [26650, -53301, 26650]], np.int64)
# Of each layer: inputs, outputs, edge of the window, distance of its values, fractional bits of inputs and outputs.
LAYERS = {
    "first": (15, 24, 3, 1, 12, 10),
    "down": (24, 48, 2, 1, 10, 10),
    **{f"blocks.{k}.window": (48, 48, 3, distance, 10, 10) for k, distance in enumerate((1, 2, 4))},
    **{f"blocks.{k}.narrow": (48, 48, 1, 1, 10, 10) for k in range(3)},
    "up": (48, 96, 1, 1, 10, 10),
    "middle": (24, 24, 3, 1, 10, 10),
    "last": (24, 12, 3, 1, 10, 12),
}


def round_shift(x, bits):
    return (x + (1 << bits >> 1)) >> bits


def limit(x):
    return np.clip(x, -32768, 32767)


def relu(x):
    return np.clip(x, 0, 32767)


def unshuffled(planes):
    channels, rows, columns = planes.shape
    cells = planes.reshape(channels, rows // 2, 2, columns // 2, 2)
    return cells.transpose(0, 2, 4, 1, 3).reshape(4 * channels, rows // 2, columns // 2)


def shuffled(planes):
    channels, rows, columns = planes.shape
    cells = planes.reshape(channels // 4, 2, 2, rows, columns)
    return cells.transpose(0, 3, 1, 4, 2).reshape(channels // 4, 2 * rows, 2 * columns)


def basis():
    """The rows of the transform by frequency."""
    rows = np.zeros((EDGE, EDGE), np.int64)
    for k in range(EDGE):
        for x in range(EDGE):
            size = math.sqrt((2 if k else 1) / EDGE)
            rows[k, x] = math.floor(2**14 * size * math.cos(math.pi * k * (2 * x + 1) / 96) + 0.5)
    return rows


class Layer:
    def __init__(self, tensors, name):
        inputs, outputs, self.window, self.distance, before, after = LAYERS[name]
        area = self.window**2

        def get(part, dtype, count):
            return tensors.get(f"{name}.{part}", dtype, count).astype(np.int64)

        self.weight = get("weight", "I8", outputs * inputs * area).reshape(outputs, inputs, area)
        self.bias = get("bias", "I32", outputs)
        self.by_step = get("by_step", "I32", outputs) if name.endswith("window") else np.zeros_like(self.bias)
        self.shift = get("shift", "U8", outputs) + before - after
        need(all((self.shift >= 0) & (self.shift <= 24)), f"shift of {name}", "model")
        most = (abs(self.weight).sum((1, 2)) << 15) + abs(self.bias) + 20 * abs(self.by_step)
        need(max(most + (1 << self.shift >> 1)) < 1 << 31, f"sums of {name}", "model")

    def __call__(self, planes, s):
        _, rows, columns = planes.shape
        if self.window == 2:
            planes = [unshuffled(plane[None]) for plane in planes]
            taps = np.stack(planes)
        else:
            margin = self.window // 2 * self.distance
            wide = np.pad(planes, ((0, 0), (margin, margin), (margin, margin)))
            places = range(0, 2 * margin + 1, self.distance)
            taps = np.stack([wide[:, y : y + rows, x : x + columns] for y in places for x in places], 1)
        sums = np.einsum("oit,ityx->oyx", self.weight, taps)
        sums += (self.bias + self.by_step * (s - 8))[:, None, None]
        shift = self.shift[:, None, None]
        return limit((sums + (1 << shift >> 1)) >> shift)


class PreviewModel:
    """A model of the preview family (15.1)."""

    def __init__(self, header, values, family):
        self.family = family
        tensors = Tensors(header, values)
        names = sorted(name for name in header if name != "__metadata__")
        known = {"order", "prior.knots", "prior.read", "prior.write", "prior.gain", "prior.weights", "prior.shift"}
        known |= {"shrink"} | {f"{layer}.{part}" for layer in LAYERS for part in ("weight", "bias", "shift")}
        known |= {f"blocks.{k}.window.by_step" for k in range(3)}
        need(set(names) == known, "its tensors are not those of the family", "model")
        digest = hashlib.sha256(b"preview")
        for name in names:
            start, end = header[name]["data_offsets"]
            digest.update(name.encode() + values[start:end])
        self.id = digest.digest()[:4]

        def get(name, dtype, *shape):
            return tensors.get(name, dtype, math.prod(shape)).astype(np.int64).reshape(shape)

        self.order = get("order", "I16", COUNT)
        need(len(set(self.order)) == COUNT and min(self.order) >= 0 and max(self.order) < 3 * EDGE**2, "order", "model")
        self.knots = get("prior.knots", "I16", COUNT, 5)
        self.seen, self.added_to_state = get("prior.read", "I8", COUNT, 24), get("prior.write", "I8", COUNT, 12)
        self.gain, self.shift = get("prior.gain", "I16", LEVELS), int(get("prior.shift", "U8", 1)[0])
        need(min(self.gain) >= 0 and max(self.gain) <= 1023 and self.shift <= 24, "prior", "model")
        weights = get("prior.weights", "U16", LEVELS, 16)
        need(weights.min() >= 1, "a weight is 0", "model")
        self.tables = [frequencies(row) for row in weights.tolist()]
        self.shrink = get("shrink", "I8", LEVELS, 3)
        self.layers = {name: Layer(tensors, name) for name in LAYERS}

    def read(self, decoder, head):
        """The content of a preview after its head."""
        s = 2 * decoder.symbol(frequencies(STEP_WEIGHTS))
        symbols, levels = self.symbols(decoder, s, head["gray"])
        decoder.finish()
        picture = self.picture(s, symbols, levels, head["gray"])
        return {**head, "step": s, "symbols": symbols, "rgb": picture.flatten().tolist()}

    def symbols(self, decoder, s, gray):
        """Symbols and levels (15.2)."""
        state, symbols, levels = np.zeros(12, np.int64), [], []
        a = min(s // 7, 3)
        r = s - 7 * a
        for i in range(COUNT):
            offset = int(self.knots[i][a] * (7 - r) + self.knots[i][a + 1] * r) // 7
            m = limit(state >> 3)
            total = int(self.seen[i][:12] @ m + self.seen[i][12:] @ np.maximum(m, 0))
            level = min(max((offset + (total >> self.shift) + 8) >> 4, 0), LEVELS - 1)
            coded = not gray or self.order[i] < EDGE**2
            symbol = read_symbol(decoder, self.tables[level]) if coded else 0
            if symbol:
                feature = math.floor(32 * math.log2(1 + min(abs(symbol), 63)) + 0.5)
                gain = int(self.gain[min(max((offset + 8) >> 4, 0), LEVELS - 1)])
                state = state + self.added_to_state[i] * (feature * gain >> 5)
            symbols.append(symbol)
            levels.append(level)
        return symbols, levels

    def picture(self, s, symbols, levels, gray):
        """Levels of the 48x48 pixels, `[row][column][colour]` (15.3)."""
        z = np.zeros(3 * EDGE**2, np.int64)
        for place, symbol, level in zip(self.order, symbols, levels):
            if symbol:
                x = abs(symbol)
                size = ((64 * x - int(self.shrink[level][min(x, 3) - 1])) * STEPS[s // 2] + 32) >> 6
                z[place] = size if symbol > 0 else -size
        D = basis()
        T = round_shift(np.einsum("vy,cvu->cyu", D, z.reshape(3, EDGE, EDGE)), 10)
        P = limit(round_shift(np.einsum("cyu,ux->cyx", T, D), 14))
        R = P + self.added(P, s)
        if gray:
            R[1:] = 0
        sums = np.einsum("cyx,ck->yxk", R, MATRIX)
        return np.clip((sums + 256 * 2**19) >> 20, 0, 255)

    def added(self, P, s):
        """What the network adds to the pixels."""

        def layer(name, planes):
            return self.layers[name](planes, s)

        rows, columns = np.indices((EDGE // 2, EDGE // 2))
        places = [(8192 * (2 * rows - 23) + 23) // 46, (8192 * abs(2 * columns - 23) + 23) // 46]
        constants = np.stack([np.full_like(rows, (s - 8) * 512), *places])
        fine = relu(layer("first", np.concatenate([unshuffled(P), constants])))
        x = relu(layer("down", fine))
        for k in range(3):
            x = limit(x + layer(f"blocks.{k}.narrow", relu(layer(f"blocks.{k}.window", x))))
        x = relu(fine + shuffled(layer("up", x)))
        x = relu(fine + layer("middle", x))
        return shuffled(layer("last", x))


def read_symbol(decoder, F):
    def bits(count):
        return decoder.symbol([i << 20 - count for i in range((1 << count) + 1)])

    magnitude = decoder.symbol(F)
    if magnitude == 15:
        b = 0
        while bits(1):
            b += 1
            need(b <= 9, "a coefficient is too large")
        magnitude = 14 + (1 << b) + (bits(b) if b else 0)
    return -magnitude if magnitude and bits(1) else magnitude
