"""The range coder and the check of previews, as in sections 8 and 15 of the format's specification."""

import numpy as np

TOTAL_BITS = 20
MASK = (1 << 64) - 1


def cumulative(weights):
    """Cumulative frequencies of alternatives with positive integer weights."""
    total, below, result = sum(weights), 0, [0]
    for weight in weights:
        below += weight
        result.append((below << TOTAL_BITS) // total)
    return result


class Encoder:
    """Collects the interval; `finish` returns the shortest string of bytes within it."""

    def __init__(self):
        self.data, self.low, self.range = bytearray(), 0, MASK

    def put(self, low, high):
        """Codes an alternative whose cumulative frequencies are `low` and `high`, of 2^20."""
        unit = self.range >> TOTAL_BITS
        self.raise_by(unit * low)
        self.range = unit * (high - low)
        while self.range < 1 << 56:
            self.data.append(self.low >> 56)
            self.low = self.low << 8 & MASK
            self.range <<= 8

    def put_bits(self, value, count):
        self.put(value << (TOTAL_BITS - count), (value + 1) << (TOTAL_BITS - count))

    def raise_by(self, amount):
        self.low += amount
        if self.low > MASK:
            self.low &= MASK
            at = len(self.data) - 1
            while True:
                self.data[at] = (self.data[at] + 1) & 255
                if self.data[at]:
                    break
                at -= 1

    def finish(self):
        for zeros in range(8, -1, -1):
            distance = -self.low & ((1 << 8 * zeros) - 1)
            if distance < self.range:
                break
        self.raise_by(distance)
        return bytes(self.data + self.low.to_bytes(8, "big")).rstrip(b"\0")


class Decoder:
    """Reads what `Encoder` wrote."""

    def __init__(self, data):
        self.data, self.taken, self.offset, self.range = data, 0, 0, MASK
        for _ in range(8):
            self.take_byte()

    def take_byte(self):
        byte = self.data[self.taken] if self.taken < len(self.data) else 0
        self.offset = (self.offset << 8 | byte) & MASK
        self.taken += 1

    def take(self, cumulative):
        """The index of the next alternative."""
        unit = self.range >> TOTAL_BITS
        place = min(self.offset // unit, (1 << TOTAL_BITS) - 1)
        index = max(i for i in range(len(cumulative) - 1) if cumulative[i] <= place)
        self.offset -= unit * cumulative[index]
        self.range = unit * (cumulative[index + 1] - cumulative[index])
        while self.range < 1 << 56:
            self.take_byte()
            self.range <<= 8
        return index


def crc_of_byte(crc):
    for _ in range(8):
        crc = (crc << 1 ^ 0x07) & 255 if crc & 128 else crc << 1
    return crc


CRC_TABLE = [crc_of_byte(i) for i in range(256)]


def crc8(data):
    crc = 0
    for byte in data:
        crc = CRC_TABLE[crc ^ byte]
    return crc


def passes(model_id, data):
    """Whether the check of a preview of this family succeeds."""
    return sum(map(int.bit_count, data)) % 2 == 0 and crc8(model_id + data) <= 1


class Encoders:
    """Many encoders at once, for the search for a string whose check succeeds."""

    LENGTH = 256

    def __init__(self, count):
        self.low = np.zeros(count, np.uint64)
        self.range = np.full(count, MASK, np.uint64)
        self.data = np.zeros((count, self.LENGTH), np.int32)  # carries are resolved at the end
        self.used = np.zeros(count, np.int64)

    def put(self, rows, low, high):
        """Codes alternatives in the encoders `rows`."""
        unit = self.range[rows] >> np.uint64(TOTAL_BITS)
        old = self.low[rows]
        new = old + unit * low.astype(np.uint64)
        carried = rows[new < old]
        self.data[carried, self.used[carried] - 1] += 1
        size = unit * (high - low).astype(np.uint64)
        self.low[rows], self.range[rows] = new, size
        rows = rows[size < np.uint64(1 << 56)]
        while len(rows):
            low = self.low[rows]
            self.data[rows, self.used[rows]] = low >> np.uint64(56)
            self.used[rows] += 1
            self.low[rows] = low << np.uint64(8)
            size = self.range[rows] << np.uint64(8)
            self.range[rows] = size
            rows = rows[size < np.uint64(1 << 56)]

    def put_all(self, low, high):
        count = len(self.low)
        self.put(np.arange(count), np.full(count, low), np.full(count, high))

    def finish(self, row):
        """The bytes of one encoder."""
        e = Encoder()
        values, carry = self.data[row, : self.used[row]].tolist(), 0
        for i in reversed(range(len(values))):
            value = values[i] + carry
            values[i], carry = value & 255, value >> 8
        e.data, e.low, e.range = bytearray(values), int(self.low[row]), int(self.range[row])
        return e.finish()


assert crc8(b"123456789") == 0xF4
