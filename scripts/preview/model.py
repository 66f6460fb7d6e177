"""The model of previews: transform, prior and decoder.

A picture of 48x48 pixels in three orthonormal colour channels is transformed by the DCT (orthonormal, in
two dimensions). The COUNT coefficients of the largest variance are quantized with a uniform step and coded
in the order of their variance. The prior gives each coefficient a scale, which depends on the step and on
the magnitudes of the coefficients before it. The decoder dequantizes, inverts the DCT and applies a small
convolutional network.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

EDGE = 48
COUNT = 576  # coefficients that are coded
RANK = 12  # numbers in the state of the prior
LEVELS = 64  # scales of the prior
PER_OCTAVE = 6  # levels for each factor of two
ZERO_OCTAVE = 5  # level 0 is a scale of 2 ** -5 steps
MAGNITUDES = 16  # 0 to 14; the last one is the escape
STEPS = 29  # step sizes, 4 for each factor of two
SMALLEST_STEP = 0.25
KNOT_DISTANCE = 7  # the scales of the coefficients are given at every seventh step index
KNOTS = 5


def step_size(index):
    """The step of index 0 to STEPS - 1, in units of orthonormal coefficients of values from 0 to 1."""
    step = SMALLEST_STEP * 2 ** (index / 4)
    return (step * 256).round() / 256


def dct_matrix(size):
    k = torch.arange(size, dtype=torch.float64)[:, None]
    x = torch.arange(size, dtype=torch.float64)[None] + 0.5
    matrix = math.sqrt(2 / size) * torch.cos(math.pi * k * x / size)
    matrix[0] /= math.sqrt(2)
    return matrix.float()


def colour_matrix():
    rows = torch.tensor([[1, 1, 1], [1, 0, -1], [1, -2, 1]], dtype=torch.float32)
    return rows / rows.norm(dim=1, keepdim=True)


def analyse(pictures):
    """Coefficients [n, 3, 48, 48] of pictures [n, 96, 96, 3] of values from 0 to 255."""
    x = pictures.float() / 255 - 0.5
    x = (x @ colour_matrix().T).permute(0, 3, 1, 2)
    rows = dct_matrix(2 * EDGE)[:EDGE]
    return rows @ x @ rows.T / 2


class Prior(nn.Module):
    """Probabilities of the quantized coefficients.

    The level of a coefficient is its logarithmic scale in units of 1 / PER_OCTAVE octaves, relative to the
    step. It is the sum of a part that depends on the step and of `read[i] . [state, max(0, state)]`. A coefficient
    of magnitude m adds `write[i] * feature[m] * gain[level before reading the state]` to the state.
    """

    def __init__(self):
        super().__init__()
        self.knots = nn.Parameter(torch.zeros(COUNT, KNOTS))
        self.read = nn.Parameter(torch.zeros(COUNT, 2 * RANK))
        self.write = nn.Parameter(torch.randn(COUNT, RANK) * 0.1)
        self.gain = nn.Parameter(torch.ones(LEVELS))
        scale = 2 ** ((torch.arange(LEVELS) + 0.5) / PER_OCTAVE - ZERO_OCTAVE)  # in steps
        edges = (torch.arange(MAGNITUDES) - 0.5).clamp(min=0)[:, None] / scale
        tail = torch.exp(-edges * 1.41)
        mass = tail - torch.cat([tail[1:], torch.zeros(1, LEVELS)])
        self.table = nn.Parameter((mass + 1e-6).log().T.contiguous())
        self.register_buffer("feature", torch.log2(1 + torch.arange(64.0)))

    def start(self, deviations):
        """Sets the scales from the standard deviations [COUNT] of the coefficients."""
        steps = step_size(torch.arange(KNOTS) * float(KNOT_DISTANCE))
        self.knots.data = (torch.log2(deviations[:, None] / steps) + ZERO_OCTAVE) * PER_OCTAVE

    def offset(self, t):
        """Levels [n, COUNT] without the state at step indices t [n], linear between the knots."""
        x = t / KNOT_DISTANCE
        low = x.floor().clamp(max=KNOTS - 2)
        part = (x - low)[:, None]
        knots = self.knots.T
        return knots[low.long()] * (1 - part) + knots[low.long() + 1] * part

    def gains(self, offset):
        level = offset.clamp(0, LEVELS - 1.001)
        low = level.detach().floor()
        part = level - low
        low = low.long()
        return self.gain[low] * (1 - part) + self.gain[low + 1] * part

    def log_probabilities(self):
        return F.log_softmax(self.table, dim=1)

    def bits(self, q, t):
        """Code lengths [n, COUNT] of magnitudes and signs, differentiable with respect to the prior."""
        magnitude = q.abs()
        offset = self.offset(t)
        f = self.feature[magnitude.clamp(max=63)] * self.gains(offset)
        added = f[:, :, None] * self.write
        state = torch.cumsum(added, dim=1) - added
        level = offset + (torch.cat([state, state.relu()], 2) * self.read).sum(2) * PER_OCTAVE
        level = level.clamp(0, LEVELS - 1.001)
        low = level.detach().floor()
        part = level - low
        low = low.long()
        p = self.log_probabilities().exp()
        m = magnitude.clamp(max=MAGNITUDES - 1)
        chance = p[low, m] * (1 - part) + p[low + 1, m] * part
        return -torch.log2(chance + 1e-9) + (magnitude > 0) + escape_bits(magnitude)

    @torch.no_grad()
    def quantize(self, y, t, cost):
        """Rate-distortion optimized quantization, one coefficient after the other.

        y [n, COUNT], step indices t [n], cost [n]: squared steps for each bit.
        Returns symbols [n, COUNT], levels [n, COUNT] and code lengths [n].
        """
        n = len(y)
        u = y / step_size(t)[:, None]
        offset = self.offset(t)
        gains = self.gains(offset)
        table = -self.log_probabilities() / math.log(2)
        state = torch.zeros(n, RANK)
        symbols = torch.zeros(n, COUNT, dtype=torch.long)
        levels = torch.zeros(n, COUNT, dtype=torch.long)
        total = torch.zeros(n)
        table[:, 1:] += 1
        flat = table.flatten()
        read = self.read * PER_OCTAVE
        for i in range(COUNT):
            value = offset[:, i] + state @ read[i, :RANK] + state.relu() @ read[i, RANK:]
            level = value.round().clamp_(0, LEVELS - 1).long()
            value = u[:, i]
            size = value.abs()
            top = size.round()
            choices = torch.stack([torch.zeros_like(top), (top - 1).clamp_(min=0), top])
            magnitude = choices.long()
            bits = flat[level * MAGNITUDES + magnitude.clamp(max=MAGNITUDES - 1)]
            if i < 32:
                bits = bits + escape_bits(magnitude)
            best, pick = ((choices - size) ** 2 + cost * bits).min(0)
            chosen = magnitude.gather(0, pick[None])[0]
            total += bits.gather(0, pick[None])[0]
            symbols[:, i] = chosen * value.sign().long()
            levels[:, i] = level
            f = self.feature[chosen.clamp(max=63)] * gains[:, i]
            state.addcmul_(f[:, None], self.write[i])
        return symbols, levels, total


def escape_bits(magnitude):
    """Exponential Golomb code of the magnitude minus 15 where that is not negative."""
    rest = (magnitude - (MAGNITUDES - 1)).clamp(min=0).float()
    length = 2 * torch.floor(torch.log2(rest + 1)) + 1
    return torch.where(magnitude >= MAGNITUDES - 1, length, torch.zeros_like(length))
class Block(nn.Module):
    """Adds to each cell what nine cells around it and the step suggest."""

    def __init__(self, channels, dilation):
        super().__init__()
        self.window = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.by_step = nn.Parameter(torch.zeros(channels, 1, 1))
        self.narrow = nn.Conv2d(channels, channels, 1)

    def forward(self, x, t):
        return x + self.narrow(F.relu(self.window(x) + (self.by_step * t).to(x.dtype)))


class Decoder(nn.Module):
    """Pictures [n, 3, 48, 48] in the orthonormal colour space, from quantized coefficients."""

    def __init__(self, order, fine=24, coarse=48, dilations=(1, 2, 4)):
        super().__init__()
        self.register_buffer("order", order)
        self.shrink = nn.Parameter(torch.zeros(LEVELS, 3))  # of magnitudes 1, 2 and more, in steps
        self.first = nn.Conv2d(12 + 3, fine, 3, padding=1)
        self.down = nn.Conv2d(fine, coarse, 2, stride=2)
        self.blocks = nn.ModuleList(Block(coarse, dilation) for dilation in dilations)
        self.up = nn.Conv2d(coarse, 4 * fine, 1)
        self.middle = nn.Conv2d(fine, fine, 3, padding=1)
        self.last = nn.Conv2d(fine, 12, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        ramp = torch.linspace(-1, 1, EDGE // 2)
        place = torch.stack([ramp[:, None].expand(24, 24), ramp.abs()[None].expand(24, 24)])
        self.register_buffer("place", place)

    def dequantize(self, q, levels, t):
        m = q.abs()
        shrink = self.shrink[levels, (m - 1).clamp(0, 2)]
        return q.sign() * (m - shrink) * step_size(t)[:, None]

    def linear(self, y):
        full = y.new_zeros(len(y), 3 * EDGE * EDGE)
        full[:, self.order] = y
        rows = dct_matrix(EDGE)
        return rows.T @ full.view(-1, 3, EDGE, EDGE) @ rows

    def refine(self, picture, t):
        """Adds the residual of the network."""
        t = (t[:, None, None, None] - 8) / 8
        x = F.pixel_unshuffle(picture, 2)
        n = len(x)
        x = torch.cat([x, t.expand(n, 1, 24, 24), self.place.expand(n, 2, 24, 24)], 1)
        fine = F.relu(self.first(x.contiguous(memory_format=torch.channels_last)))
        x = F.relu(self.down(fine))
        for block in self.blocks:
            x = block(x, t)
        x = F.relu(fine + F.pixel_shuffle(self.up(x), 2))
        x = F.relu(fine + self.middle(x))
        return picture + F.pixel_shuffle(self.last(x).float(), 2)

    def forward(self, q, levels, t):
        return self.refine(self.linear(self.dequantize(q, levels, t)), t)
