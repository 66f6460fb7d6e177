#!/usr/bin/env python3
"""A second reader of .aez files and previews, written from format-spec.md only. It tests that the document is complete.

    read_aez.py MODEL FILE...             prints a line of JSON for each .aez file
    read_aez.py MODEL --preview TEXT...   prints a line of JSON for each preview

A line has the fields of the header, all symbols, and the levels of the pixels. For rejected input, it has the kind of
the error and the reason. The reader is slow and reads whole files into memory. It needs the package `zstandard` only for
files that contain zstd frames, and `numpy` only for models of the photo and preview families. Numbers in the comments are sections of
format-spec.md.
"""

import base64
import hashlib
import json
import math
import re
import struct
import sys
import zlib
from operator import mul

from aez_basics import Bytes, RangeDecoder, Rejected, frequencies, need

TILED, PHOTO, PREVIEW = 0, 3, "preview"
MAX_EDGE, MAX_PIXELS = 65535, 1 << 27


def unzstd(frame, length):
    """Returns the content of a bare zstd frame, which must have `length` bytes (1)."""
    import zstandard

    decoder = zstandard.ZstdDecompressor().decompressobj()
    content = bytearray()
    frame = b"\x28\xb5\x2f\xfd" + frame
    try:
        # In small pieces, so that content beyond `length` is noticed before it takes much memory.
        for at in range(0, len(frame), 16):
            need(not decoder.eof, "bytes follow a zstd frame")
            content += decoder.decompress(frame[at : at + 16])
            need(len(content) <= length, "the content of a zstd frame is too long")
    except zstandard.ZstdError as error:
        raise Rejected("damaged", f"zstd frame: {error}") from error
    need(decoder.eof and not decoder.unused_data, "a zstd frame ends too early or too late")
    need(len(content) == length, "the content of a zstd frame is too short")
    return bytes(content)


def crc(data, polynomial, start, width):
    """Computes a CRC of `width` bits, the most significant bit of a byte first."""
    value = start
    for byte in data:
        value ^= byte << (width - 8)
        for _ in range(8):
            value = (value << 1) ^ (polynomial if value >> (width - 1) else 0)
            value &= (1 << width) - 1
    return value


# 6 and 7: quality and tables.

TWELFTHS = [
    16777216, 17774841, 18831788, 19951585, 21137968, 22394897,
    23726566, 25137421, 26632170, 28215802, 29893600, 31671166,
]  # fmt: skip


def multiplier(quality):
    e = 75 - quality
    s = 16 - e // 12
    return (TWELFTHS[e % 12] + (1 << (s - 1))) >> s


class Prior:
    """The prior of one channel (7)."""

    def __init__(self, data):
        (self.cells,) = struct.unpack("<H", data.take(2))
        (self.spacing,) = struct.unpack("<I", data.take(4))
        need(self.cells % 2 == 0 and 2 <= self.cells <= 1024, "number of cells of a prior", "model")
        need(1 <= self.spacing <= 262144 // self.cells, "spacing of a prior", "model")
        self.masses = struct.unpack(f"<{self.cells}H", data.take(2 * self.cells))
        need(min(self.masses) > 0 and sum(self.masses) == 65536, "masses of a prior", "model")


class Table:
    """The frequencies (7) and reconstruction points (10) of one channel at one step multiplier."""

    def __init__(self, prior, m):
        K, w = prior.cells, prior.masses
        self.prior, self.W, self.S = prior, 2 * prior.spacing, K * prior.spacing
        W, S = self.W, self.S
        self.M = M = (S + m - 1) // (2 * m)
        n = 2 * M + 1
        C = [sum(w[:j]) for j in range(K + 1)]
        self.p, self.F = [], []
        for i in range(n + 1):
            p = min(max(S + 2 * i * m - n * m, 0), 2 * S)
            j, r = divmod(p, W)
            P = (C[j] << 16) + ((w[j] if j < K else 0) << 16) * r // W
            self.p.append(p)
            self.F.append((P * (1048576 - n) >> 32) + i)

    def point(self, k):
        """The reconstruction point of symbol `k`, in base steps (10)."""
        a, b = self.p[k + self.M], self.p[k + self.M + 1]
        above = below = 0.0
        for j in range(a // self.W, (b - 1) // self.W + 1):
            lower, upper = max(a, j * self.W), min(b, (j + 1) * self.W)
            mass = self.prior.masses[j] * (upper - lower)
            above += mass * (lower + upper) / 2
            below += mass
        return (above / below - self.S) / 512


# 8 and 9: the coders.


def range_symbols(coded, tables, tiles):
    decoder = RangeDecoder(coded)
    symbols = [decoder.symbol(table.F) - table.M for _ in range(tiles) for table in tables]
    decoder.finish()
    return symbols


def zstd_symbols(coded, tables, tiles):
    wide = [n for n, table in enumerate(tables) if table.M > 127]
    count = tiles * len(tables)
    content = unzstd(coded, count + tiles * len(wide))
    naturals = list(content[:count])
    for at, high in enumerate(content[count:]):
        naturals[at // len(wide) * len(tables) + wide[at % len(wide)]] += 256 * high
    symbols = [natural // 2 if natural % 2 == 0 else -(natural + 1) // 2 for natural in naturals]
    for at, symbol in enumerate(symbols):
        need(abs(symbol) <= tables[at % len(tables)].M, "zstd coder: a symbol is out of range")
    return symbols


# 11: the model.

TOKENS = 42


def token(magnitude):
    """The token of a magnitude."""
    if magnitude < 8:
        return magnitude
    bits = magnitude.bit_length() - 2
    return 2 * bits + (magnitude >> bits) + 2


class Packed:
    """A packed array: rows of `e * e` places with `C` channels each."""

    def __init__(self, model, name, rows, e, C):
        def part(suffix, code):
            return [value for (value,) in struct.iter_unpack("<" + code, model.raw(f"{name}.{suffix}"))]

        self.rows, self.e, self.C = rows, e, C
        self.row_step, self.place_step = part("row_step", "f"), part("place_step", "f")
        weights = part("weights", "H")
        self.tables = [self.table(weights[at : at + TOKENS]) for at in range(0, len(weights), TOKENS)]
        axes = part("axes", "h") if f"{name}.axes" in model.tensors else []
        self.axes = [[value / 32767 for value in axes[at : at + C]] for at in range(0, len(axes), C)]
        lengths = part("lengths", "I")
        need(1 <= len(lengths) <= rows, "number of streams", "model")
        coded = Bytes(model.raw(name))
        self.symbols = []
        for t, length in enumerate(lengths):
            count = rows * (t + 1) // len(lengths) - rows * t // len(lengths)
            self.symbols += self.decode(coded.take(length), count)
        need(coded.at == len(coded.data), "bytes follow the streams of a packed array", "model")

    @staticmethod
    def table(weights):
        signed = weights[:0:-1] + weights
        total = sum(signed)
        need(min(weights) > 0 and total <= 1 << 20, "weights of a packed array", "model")
        return frequencies(signed)

    def decode(self, coded, rows):
        """The symbols of a stream of `rows` rows: a list of lists of `C` symbols, one for each place."""
        decoder, e, places = RangeDecoder(coded), self.e, self.e * self.e
        vectors, sizes = [], []
        for at in range(rows * places):
            place = at % places
            back = [n for n, exists in ((places, at >= places), (e, place >= e), (1, place % e > 0)) if exists]
            vector, size = [], []
            for k in range(self.C):
                m = sum(2 * sizes[at - n][k] for n in back) + sum(size[-2:])
                T = self.tables[min(token(m), len(self.tables) - 1)]
                t = decoder.symbol(T) - (TOKENS - 1)
                magnitude = abs(t)
                if magnitude >= 8:
                    bits = magnitude // 2 - 2
                    raw = decoder.symbol(range(0, (1 << 20) + 1, 1 << (20 - bits)))
                    magnitude = (2 + magnitude % 2 << bits) + raw
                vector.append(magnitude if t > 0 else -magnitude)
                size.append(min(magnitude, 15))
            vectors.append(vector)
            sizes.append(size)
        decoder.finish()
        return vectors

    def values(self, smooth):
        """The rows, as lists of `e * e * C` values."""
        e, C, places = self.e, self.C, self.e * self.e
        wave = [
            [math.sqrt((1 if u == 0 else 2) / e) * math.cos(math.pi * (2 * i + 1) * u / (2 * e)) for i in range(e)]
            for u in range(e)
        ]
        result = []
        for n in range(self.rows):
            row = []
            for p in range(places):
                step = self.row_step[n] * self.place_step[p]
                x = [symbol * step for symbol in self.symbols[n * places + p]]
                if self.axes:
                    x = [sum(x[k] * self.axes[k][c] for k in range(C)) for c in range(C)]
                row.append(x)
            if smooth:
                for near, far in (1, e), (e, 1):
                    lines = [[row[f * far + i * near] for i in range(e)] for f in range(e)]
                    for f, line in enumerate(lines):
                        for i in range(e):
                            row[f * far + i * near] = [
                                sum(wave[u][i] * line[u][c] for u in range(e)) for c in range(C)
                            ]
            result.append([value for x in row for value in x])
        return result


class Model:
    """A model file of the tiled family: configuration, priors, quantizer and tensors (11)."""

    family = TILED

    def __init__(self, about, tensors, values):
        need(about["version"] == 1, f"version {about['version']} of the model file", "model")
        self.tensors, self.values = tensors, values
        config = about["config"]
        self.E, self.c, self.r, self.N = (config[f] for f in ("tile", "channels", "reductions", "latents"))
        self.normalize = config["normalize"]
        priors = Bytes(self.raw("prior"))
        self.priors = [Prior(priors) for _ in range(self.N)]
        need(priors.at == len(priors.data), "bytes follow the priors", "model")
        self.centre, self.step = self.floats("quantizer.centre"), self.floats("quantizer.step")
        self.id = self.identify()

    def raw(self, name):
        start, end = self.tensors[name]["data_offsets"]
        return self.values[start:end]

    def floats(self, name):
        return [value for (value,) in struct.iter_unpack("<f", self.raw(name))]

    def array(self, name):
        """The values of an array of weights, converted to floats if they are stored in 8 bits or packed."""
        dtype = self.tensors[name]["dtype"]
        if dtype == "F32":
            return self.floats(name)
        if dtype == "U8":
            return self.packed(name)
        scale = self.floats(f"{name}.scale")
        values = [value * scale[p % len(scale)] for p, (value,) in enumerate(struct.iter_unpack("b", self.raw(name)))]
        places = struct.iter_unpack("<I", self.raw(f"{name}.outlier_place"))
        for (place,), value in zip(places, self.floats(f"{name}.outlier_value")):
            values[place] = value
        return values

    def packed(self, name):
        """The values of a packed array of the decoder."""
        if name.startswith("decoder.linear"):
            rows = self.N if name.endswith("weight") else 1
            values = Packed(self, name, rows, self.E >> self.r, self.c << self.r).values(True)
            return [value for row in values for value in row]
        index = int(re.fullmatch("decoder.conv([0-9]+).weight", name)[1])
        high, low, _ = self.shapes()[index]
        rows = Packed(self, name, high, 3, low).values(False)
        return [value for place in range(9) for row in rows for value in row[place * low : (place + 1) * low]]

    def shapes(self):
        """The channels of the high and of the low side, and the stride, of the layers of the decoder."""
        shapes = []
        for k in range(self.r - 1, -1, -1):
            shapes += [(self.c << (k + 1), self.c << (k + 1), 1), (self.c << k, self.c << (k + 1), 2)]
        return shapes + [(self.c, self.c, 1), (3, self.c, 1)]

    def identify(self):
        """Computes the model id."""
        hash = hashlib.sha256(struct.pack("<5Q", self.E, self.c, self.r, self.N, int(self.normalize)))
        for name in sorted(self.tensors, key=str.encode):
            if name.startswith(("decoder.", "quantizer.")) or name == "prior":
                for data in name.encode(), self.raw(name):
                    hash.update(struct.pack("<Q", len(data)) + data)
        return hash.digest()[:4]

    def tables(self, quality):
        return [Table(prior, multiplier(quality)) for prior in self.priors]

    def decode(self, header, payload):
        """The symbols, and the levels of all pixels."""
        width, height = header["width"], header["height"]
        columns, rows = -(-width // self.E), -(-height // self.E)
        tables = self.tables(header["quality"])
        decode = {"zstd": zstd_symbols, "range": range_symbols}[header["coder"]]
        symbols = decode(payload, tables, rows * columns)
        each = range(0, len(symbols), self.N)
        tiles = [self.tile(symbols[at : at + self.N], tables, header["gray"]) for at in each]
        picture = [
            [list(tiles[y // self.E * columns + x // self.E][y % self.E][x % self.E]) for x in range(width)]
            for y in range(height)
        ]
        for lines in picture, list(zip(*picture)):
            for line in lines:
                deblock(line, self.E)
        return symbols, [level for row in picture for pixel in row for level in pixel]

    def tile(self, symbols, tables, gray):
        """Decodes a tile to `E` rows of `E` pixels, each a list of three levels (10)."""
        x = [
            centre + step * table.point(symbol)
            for centre, step, table, symbol in zip(self.centre, self.step, tables, symbols)
        ]
        values = self.synthesize(x)
        levels = []
        for at in range(0, len(values), 3):
            pixel = values[at : at + 3]
            if gray:
                pixel = [sum(pixel) / 3] * 3
            levels.append([math.floor(min(max(255 * v, 0), 255) + 0.5) for v in pixel])
        return [levels[row * self.E :][: self.E] for row in range(self.E)]

    def synthesize(self, x):
        """The synthesis network: `N` latents to `E * E * 3` values (11)."""
        W, out = self.array("decoder.linear.weight"), self.array("decoder.linear.bias")
        for n, value in enumerate(x):
            row = W[n * len(out) :]
            out = [o + value * w for o, w in zip(out, row)]
        picture = [max(0, o) for o in out]
        edge, shapes = self.E >> self.r, self.shapes()
        for index, (high, low, stride) in enumerate(shapes):
            picture = self.layer(index, picture, edge, high, low, stride)
            edge *= stride
            if index + 1 < len(shapes):
                picture = [max(0, v) for v in picture]
        return [v / 2 + 1 / 2 for v in picture] if self.normalize else picture

    def layer(self, index, picture, edge, high, low, s):
        """A convolution of the decoder (11): an edge of `edge` and `low` channels to `s * edge` and `high` channels."""
        w = self.array(f"decoder.conv{index}.weight")
        rows = [w[at : at + low] for at in range(0, len(w), low)]
        out = self.array(f"decoder.conv{index}.bias") * (s * edge) ** 2
        for y in range(edge):
            for x in range(edge):
                pixel = picture[(y * edge + x) * low :][:low]
                for i in range(3):
                    for j in range(3):
                        Y, X = s * y + i - 1, s * x + j - 1
                        if 0 <= Y < s * edge and 0 <= X < s * edge:
                            for a in range(high):
                                row = rows[(3 * i + j) * high + a]
                                out[(Y * s * edge + X) * high + a] += sum(map(mul, row, pixel))
        return out


def read_model(data):
    """A model of any family."""
    source = Bytes(data)
    (length,) = struct.unpack("<Q", source.take(8))
    tensors = json.loads(source.take(length))
    about = json.loads(tensors.pop("__metadata__")["aez"])
    values = data[source.at :]
    if "family" not in about:
        return Model(about, tensors, values)
    if about.get("family") == "preview":
        from aez_preview import PreviewModel

        need(about == {"version": 1, "family": "preview"}, "its metadata", "model")
        return PreviewModel(tensors, values, PREVIEW)
    from aez_photo import PhotoModel

    return PhotoModel(about, tensors, values)


# 2 to 5: files.


def read_file(data, model):
    need(data[:2] == b"\xae\x5a", "another magic number", "not_aez")
    source = Bytes(data, 2)
    flags = source.byte()
    need(flags >> 4 == 1, f"version {flags >> 4} of the format", "version")
    family = flags >> 2 & 3
    need(family in (TILED, PHOTO), f"family {family}", "unsupported")
    has_sections, gray = bool(flags & 2), bool(flags & 1)
    coder, quality = divmod(source.byte(), 128)
    need(1 <= quality <= 100, f"quality {quality}")
    width, height = source.varint() + 1, source.varint() + 1
    need(max(width, height) < 1 << 32, "an edge is too long")
    model_id = source.take(4)
    small = not has_sections and max(width, height) <= (256 if family == PHOTO else 128)
    start = source.at
    stored = source.take(2 if small else 4)
    need(max(width, height) <= MAX_EDGE and width * height <= MAX_PIXELS, "the picture is too large", "limit")
    rest = data[:start] + data[source.at :]
    found = crc(rest, 0x1021, 0xFFFF, 16) if small else zlib.crc32(rest)
    need(int.from_bytes(stored, "little") == found, "the checksum differs")
    sections = read_sections(source) if has_sections else {0: data[source.at :]}
    result = {
        "width": width, "height": height, "gray": gray, "quality": quality,
        "coder": ["zstd", "range"][coder], "model_id": model_id.hex(),
    }  # fmt: skip
    if 1 in sections:
        alpha = read_alpha(sections[1], width, height)
        if min(alpha) < 255:
            result["alpha"] = alpha
    for kind, name in (0x80, "icc"), (0x81, "exif"), (0x82, "xmp"):
        if kind in sections:
            section = Bytes(sections[kind])
            length = section.varint()
            need(length <= 1 << 24, "the metadata are too long")
            result[name] = unzstd(section.data[section.at :], length).hex()
    right = (family, model_id) == (model.family, model.id)
    need(right, f"the file needs model {model_id.hex()}", "wrong_model")
    result["symbols"], result["rgb"] = model.decode(result, sections[0])
    return result


# P and Q of section 10: for each s and i, the weights of the differences d and of their sums e over the channels.
WEIGHTS = (
    (
        ((-79, -55, -128, 79, 92), (-28, 9, 5, -13, 27)),
        ((-77, -60, -129, -170, 86), (-19, 11, 11, -3, 33)),
        ((-66, -71, -130, -165, -206), (-14, 16, 15, 6, 40)),
    ),
    (
        ((-100, -237, -108, 237, 118), (38, 39, 1, -33, -37)),
        ((-89, -198, -93, 36, 147), (36, 35, 10, -39, -26)),
        ((-75, -167, -75, 55, 9), (28, 40, 14, -26, -16)),
    ),
    (
        ((27, -94, -64, 92, -19), (14, 4, -4, 2, -10)),
        ((15, -55, -27, 32, 1), (8, 6, 5, -2, -8)),
        ((0, -23, -4, 27, -4), (1, 9, 7, -6, -3)),
    ),
)


def deblock(line, edge):
    """Applies the deblocking filter to all block boundaries in a row or a column of pixels, in place (10)."""
    for boundary in range(edge, len(line), edge):
        first, last = boundary - edge, min(boundary + edge, len(line)) - 1
        places = [boundary + p - 3 for p in range(6)]
        v = [line[min(max(place, first), last)] for place in places]
        d = [[b - a for a, b in zip(v[j], v[j + 1])] for j in range(5)]
        e = [sum(step) for step in d]
        t = min(sum(abs(difference) for step in d for difference in step), 320)
        s, f = (0, 4 * t) if t < 64 else (1, t - 64)
        filtered = {}
        for i in range(3):
            w, u = ([(256 - f) * a + f * b for a, b in zip(*sets)] for sets in zip(WEIGHTS[s][i], WEIGHTS[s + 1][i]))
            for p, order, sign in (3 + i, range(5), 1), (2 - i, range(4, -1, -1), -1):
                sums = [sum(w[n] * d[j][c] + u[n] * e[j] for n, j in enumerate(order)) for c in range(3)]
                filtered[p] = [min(max(a + (2**15 + sign * b) // 2**16, 0), 255) for a, b in zip(v[p], sums)]
        for p, pixel in filtered.items():
            if first <= places[p] <= last:
                line[places[p]][:] = pixel


def read_sections(source):
    count = source.byte()
    need(count >= 2, "the table has fewer than two sections")
    kinds, lengths = [], []
    for index in range(count):
        kind = source.byte()
        need(kind > kinds[-1] if kinds else kind == 0, "kinds of sections are out of order")
        need(kind in (0, 1) or kind >= 0x80, f"critical section of kind {kind}", "unsupported")
        kinds.append(kind)
        lengths.append(source.varint())
    need(sum(lengths) == len(source.data) - source.at, "the lengths of the sections do not match the file")
    return {kind: source.take(length) for kind, length in zip(kinds, lengths)}


def read_alpha(section, width, height):
    differences = unzstd(section, width * height)
    plane = []
    for at, difference in enumerate(differences):
        x, y = at % width, at // width
        if y == 0:
            prediction = plane[at - 1] if x else 0
        elif x == 0:
            prediction = plane[at - width]
        else:
            L, U, C = plane[at - 1], plane[at - width], plane[at - width - 1]
            prediction = min(max(L + U - C, min(L, U)), max(L, U))
        plane.append((prediction + difference) % 256)
    return plane


# 15: previews.


def read_preview(text, model):
    need(model.family in (TILED, PREVIEW), "a model of another family", "preview")
    need(re.fullmatch("[A-Za-z0-9_-]{2,267}", text) and len(text) % 4 != 1, "not base64url", "preview")
    coded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    need(base64.urlsafe_b64encode(coded).rstrip(b"=") == text.encode(), "unused bits are not zero", "preview")
    ones = sum(map(int.bit_count, coded))
    need(model.family == (TILED if ones % 2 else PREVIEW), "of another family", "preview")
    need(crc(model.id + coded, 0x07, 0, 8) <= 1, "the check is not zero or one", "preview")
    try:
        return read_checked_preview(coded, model)
    except Rejected as error:
        raise Rejected("preview", str(error)) from error


def read_checked_preview(coded, model):
    decoder = RangeDecoder(coded)
    result = read_head(decoder)
    if model.family == PREVIEW:
        return model.read(decoder, result)
    result["quality"] = 4 * (decoder.symbol(frequencies([1] * 25)) + 1)
    tables = model.tables(result["quality"])
    result["symbols"] = [decoder.symbol(table.F) - table.M for table in tables]
    decoder.finish()
    tile = model.tile(result["symbols"], tables, result["gray"])
    result["rgb"] = [level for row in tile for pixel in row for level in pixel]
    return result


def read_head(decoder):
    def choose(weights):
        return decoder.symbol(frequencies(weights))

    def weight(a):
        return {0: 64, 10: 64, 14: 64, 20: 32}.get(abs(a), 4 if abs(a) <= 32 else 1)

    result = {"aspect": choose([weight(a) for a in range(-96, 97)]) - 96}
    result["gray"] = choose([15, 1]) == 1
    if choose([15, 1]):
        G = [2, 3, 4, 5, 6, 8, 12, 16][choose([1] * 8)]
        levels, D = [], [8, 3, 2, 1]
        for at in range(G * G):
            weights = [1] * 4
            for exists, back in (at % G > 0, 1), (at >= G, G):
                if exists:
                    weights = [w * D[abs(level - levels[at - back])] for level, w in enumerate(weights)]
            levels.append(choose(weights))
        result["alpha"] = levels
    return result


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    inputs, preview = sys.argv[2:], sys.argv[2] == "--preview"
    with open(sys.argv[1], "rb") as file:
        data, model = file.read(), None
    for name in inputs[1:] if preview else inputs:
        try:
            model = model or read_model(data)
            if preview:
                result = read_preview(name, model)
            else:
                with open(name, "rb") as file:
                    result = read_file(file.read(), model)
        except Rejected as error:
            result = {"error": error.kind, "reason": str(error)}
        except ImportError as error:
            result = {"error": "missing", "reason": str(error)}
        print(json.dumps({"input": name, **result}))


if __name__ == "__main__":
    main()
