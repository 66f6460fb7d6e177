"""What the parts of the second reader share: errors, byte strings and the range coder. Numbers are sections of format-spec.md."""

from bisect import bisect_right


class Rejected(Exception):
    """The input breaks a rule of the format: the kind of the error and the reason."""

    def __init__(self, kind, reason):
        super().__init__(reason)
        self.kind = kind


def need(condition, reason, kind="damaged"):
    """Rejects the input unless `condition` holds."""
    if not condition:
        raise Rejected(kind, reason)


class Bytes:
    """A byte string that is read from front to back (1)."""

    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def take(self, count):
        need(len(self.data) - self.at >= count, "the file ends too early")
        self.at += count
        return self.data[self.at - count : self.at]

    def byte(self):
        return self.take(1)[0]

    def varint(self):
        value = 0
        for place in range(5):
            byte = self.byte()
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                need(byte > 0 or place == 0, "a varint is overlong")
                need(value < 1 << 32, "a varint is too large")
                return value
        raise Rejected("damaged", "a varint is too long")


class RangeDecoder:
    """The decoder of the range coder (8)."""

    def __init__(self, coded):
        self.coded, self.taken, self.offset, self.range = coded, 0, 0, 2**64 - 1
        for _ in range(8):
            self.take()

    def take(self):
        byte = self.coded[self.taken] if self.taken < len(self.coded) else 0
        self.offset = (self.offset << 8) + byte
        self.taken += 1

    def symbol(self, F):
        """Decodes the index `i` whose interval `F[i]` to `F[i + 1]` contains the offset."""
        unit = self.range >> 20
        t = self.offset // unit
        need(t < 1 << 20, "range coder: the offset is beyond all symbols")
        i = bisect_right(F, t) - 1
        self.offset -= unit * F[i]
        self.range = unit * (F[i + 1] - F[i])
        while self.range < 1 << 56:
            self.take()
            self.range <<= 8
        return i

    def finish(self):
        """Checks after the last symbol that the byte string is the one valid string of its symbols."""
        if not self.coded:
            return
        b, z = self.coded[-1], self.taken - len(self.coded)
        need(b > 0 and z >= 0, "range coder: not the only valid string of its symbols")
        shortest = z >= 8 or self.offset < 256**z and self.offset + (256 - b) * 256**z >= self.range
        need(shortest, "range coder: not the only valid string of its symbols")


def frequencies(weights):
    """The cumulative frequencies of alternatives with these weights (15)."""
    total = sum(weights)
    return [(sum(weights[:i]) << 20) // total for i in range(len(weights) + 1)]
