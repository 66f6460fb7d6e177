"""Measures previews: real bytes, with head and check, and PSNR at 96x96 pixels."""

import argparse
import math

import numpy as np
import torch

from coder import Encoder, Encoders, cumulative, passes
from data import lanczos
from model import COUNT, analyse, dct_matrix, step_size
from integer import levels_of, load

BUDGETS = (16, 21, 30, 45, 60, 100, 200)
STEP_CHOICES = torch.arange(0, 29, 2).float()
# Aspect 1:1 (64 of 744), not gray, no alpha, the step.
ASPECTS = [64 if abs(a) in (0, 10, 14) else 32 if abs(a) == 20 else 4 if abs(a) <= 32 else 1 for a in range(-96, 97)]
ASPECT = cumulative(ASPECTS)
FLAG = cumulative([15, 1])
STEP_WEIGHTS = [2, 5, 8, 8, 8, 8, 6, 4, 2, 1, 1, 1, 1, 1, 1]
STEP = cumulative(STEP_WEIGHTS)
HEAD_BITS = math.log2(sum(ASPECTS) / 64) + 2 * math.log2(16 / 15)
STEP_BITS = torch.log2(sum(STEP_WEIGHTS) / torch.tensor(STEP_WEIGHTS, dtype=torch.float32))
MODEL_ID = bytes(4)


def room(budget, t):
    """Bits for the symbols."""
    return 8 * budget - HEAD_BITS - STEP_BITS[t.long() // 2]


ENLARGE = torch.from_numpy(lanczos(48, 96)).float()


def show(picture):
    """Levels [n, 96, 96, 3] from 0 to 255 of the decoder's result [n, 3, 48, 48]."""
    rgb = levels_of(picture).permute(0, 3, 1, 2)
    return (ENLARGE @ rgb @ ENLARGE.T).clamp(0, 255).round().permute(0, 2, 3, 1)


def psnr(shown, original):
    error = ((shown - original.float()) ** 2).mean((1, 2, 3))
    return 10 * torch.log10(255**2 / error)


def fit(prior, y, t, bits, around=None, rounds=7):
    """Quantizes with the smallest cost of bits for which the code length is at most `bits`.

    The search is limited to a factor of two around the costs `around`, if they are given.
    """
    low, high = torch.full_like(t, -5.0), torch.full_like(t, 1.5)  # logarithms of the cost to base 2
    if around is not None:
        low, high = torch.log2(around) - 1, torch.log2(around) + 1
    q, levels, length = prior.quantize(y, t, 2**high)
    best = [q, levels, length, high.clone()]
    for _ in range(rounds):
        middle = (low + high) / 2
        q, levels, length = prior.quantize(y, t, 2**middle)
        fits = length <= bits
        for now, new in zip(best, (q, levels, length, middle)):
            now[fits] = new[fits]
        high, low = torch.where(fits, middle, high), torch.where(fits, low, middle)
    q, levels, length, cost = best
    return q, levels, length, 2**cost, length <= bits


def decode(net, q, levels, t, network=True):
    with torch.no_grad():
        parts = []
        for i in range(0, len(q), 100):
            part = [x[i : i + 100] for x in (q, levels, t)]
            parts.append(net.decode(*part) if network else net.linear(net.dequantize(*part)))
        return torch.cat(parts)


def gradient(net, q, levels, t, target):
    """Half of the derivative of the squared error with respect to the dequantized coefficients, and those."""
    y = net.dequantize(q, levels, t).detach().requires_grad_()
    picture = net.refine(net.linear(y), t)
    error = ((picture - target) ** 2).sum() / 2
    return torch.autograd.grad(error, y)[0], y.detach()


def encode(prior, net, original, budget, tries, network=True, slack=8):
    """Symbols for the pictures in at most `budget` bytes less `slack` bits, without the check."""
    n = len(original)
    full = analyse(original)
    y = full.flatten(1)[:, net.order]
    target = decode_target(full)
    # Steps around the usual one.
    usual = round(6 - 1.41 * math.log2(budget / 13))
    choices = STEP_CHOICES[max(usual - 3, 0) : max(usual - 3, 0) + 6]
    rows = len(choices)
    t = choices.repeat(n)
    bits = room(budget, t) - slack
    q, levels, length, cost, fits = fit(prior, y.repeat_interleave(rows, 0), t, bits)
    quality = torch.full((n * rows,), -1.0)
    ok = fits.nonzero()[:, 0]
    shown = show(decode(net, q[ok], levels[ok], t[ok], False))
    quality[ok] = psnr(shown, original.repeat_interleave(rows, 0)[ok])
    # The two best steps of each picture are searched further.
    best = (quality.view(n, rows).topk(2, 1)[1] + rows * torch.arange(n)[:, None]).flatten()
    q, levels, t, cost, quality, length, bits = (x[best] for x in (q, levels, t, cost, quality, length, bits))
    target2, original2, y2 = (x.repeat_interleave(2, 0) for x in (target, original, y))
    if network:
        quality = psnr(show(decode(net, q, levels, t)), original2)
        wanted = y2.clone()
        now_q, now_l, now_c = q, levels, cost
        for _ in range(tries):
            g, z = gradient(net, now_q, now_l, t, target2)
            wanted = wanted + 0.5 * ((z - g) - wanted)
            now_q, now_l, now_b, now_c, fits = fit(prior, wanted, t, bits, now_c, 6)
            p = psnr(show(decode(net, now_q, now_l, t)), original2)
            better = fits & (p > quality)
            for old, new in ((q, now_q), (levels, now_l), (cost, now_c), (quality, p), (length, now_b)):
                old[better] = new[better]
    pick = quality.view(n, 2).argmax(1) + 2 * torch.arange(n)
    return [x[pick] for x in (q, levels, t, cost, quality, length)] + [target]


def decode_target(full):
    rows = dct_matrix(48)
    return rows.T @ full @ rows


def write(prior, q, levels, t):
    """The bytes of a preview, whose check need not succeed."""
    e = Encoder()
    e.put(ASPECT[96], ASPECT[97])
    e.put(FLAG[0], FLAG[1])
    e.put(FLAG[0], FLAG[1])
    step = int(t) // 2
    e.put(STEP[step], STEP[step + 1])
    for level, symbol in zip(levels, q):
        prior.put(e, level, symbol)
    return e.finish()


def put_head(encoders, t):
    encoders.put_all(ASPECT[96], ASPECT[97])
    encoders.put_all(FLAG[0], FLAG[1])
    encoders.put_all(FLAG[0], FLAG[1])
    steps = t.long().numpy() // 2
    bounds = np.array(STEP)
    encoders.put(np.arange(len(t)), bounds[steps], bounds[steps + 1])


def with_check(prior, net, q, levels, t, cost, target, budget, generator, count=700, changed=24):
    """Changes symbols so that the check succeeds and the bytes fit.

    Returns for each picture bytes, symbols and levels, or None.
    """
    n = len(q)
    g, z = gradient(net, q, levels, t, target)
    step = step_size(t)[:, None]
    losses = []
    for sign in (-1, 1):
        delta = net.dequantize(q + sign, levels, t) - z
        error = (2 * g * delta + delta**2) / step**2
        bits = prior.symbol_bits(levels, q + sign) - prior.symbol_bits(levels, q)
        losses.append(error + cost[:, None] * bits.clamp(min=-3))
    _, order = torch.cat(losses, 1).topk(changed, 1, largest=False)
    place, sign = order % COUNT, (order // COUNT) * 2 - 1
    # Random sets of up to five of the best changes.
    rank = torch.rand(n, count, changed, generator=generator).argsort(2).argsort(2)
    chosen = rank < torch.randint(0, 6, (n, count, 1), generator=generator)
    change = torch.zeros(n, count, COUNT, dtype=torch.int64)
    change.scatter_add_(2, place[:, None].expand(n, count, -1), sign[:, None] * chosen)
    variants = (q[:, None] + change).flatten(0, 1)
    tt = t.repeat_interleave(count)
    all_levels, length = prior.measure(variants, tt)
    error = torch.empty(n, count)
    for i in range(n):
        part = slice(i * count, (i + 1) * count)
        delta = net.dequantize(variants[part], all_levels[part], tt[part]) - z[i]
        error[i] = (2 * g[i] * delta + delta**2).sum(1)
    error[length.view(n, count) > room(budget, t)[:, None] + 0.5] = math.inf
    rows = torch.isfinite(error).flatten().nonzero()[:, 0]
    encoders = Encoders(len(rows))
    put_head(encoders, tt[rows])
    prior.put_many(encoders, all_levels[rows], variants[rows])
    results = [None] * n
    flat = error.flatten()[rows]
    for k in flat.argsort().tolist():
        i = int(rows[k]) // count
        if results[i] is None:
            data = encoders.finish(k)
            if len(data) <= budget and passes(MODEL_ID, data):
                results[i] = (data, variants[rows[k]], all_levels[rows[k]])
    again = [i for i in range(n) if results[i] is None]
    if again and count < 20000:
        part = [x[again] for x in (q, levels, t, cost, target)]
        more = with_check(prior, net, *part, budget, generator, 3 * count, changed + 8)
        for i, result in zip(again, more):
            results[i] = result
    return results


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("weights")
    arguments.add_argument("pictures", help="file .npy of levels [n, 96, 96, 3]")
    arguments.add_argument("--budgets", type=int, nargs="*", default=BUDGETS)
    arguments.add_argument("--tries", type=int, default=4)
    arguments.add_argument("--ideal", action="store_true", help="only ideal code lengths, less 8 bits for the check")
    arguments.add_argument("--count", type=int, default=100)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    prior, net = load(options.weights)
    original = torch.from_numpy(np.load(options.pictures)[: options.count])
    generator = torch.Generator().manual_seed(1)
    for budget in options.budgets:
        slack = 8 if options.ideal else 1
        q, levels, t, cost, quality, _, target = encode(prior, net, original, budget, options.tries, slack=slack)
        line = f"{budget} bytes: {quality.mean():.3f} dB by code lengths"
        line += f", step index {t.mean():.1f}, cost {cost.mean():.3f}"
        if not options.ideal:
            results = with_check(prior, net, q, levels, t, cost, target, budget, generator)
            done = [i for i, r in enumerate(results) if r]
            q, levels = (torch.stack([results[i][k] for i in done]) for k in (1, 2))
            p = psnr(show(decode(net, q, levels, t[done])), original[done])
            # The search for the check codes many pictures at once; this is the plain coder.
            for i in done:
                data, symbols, their_levels = results[i]
                assert write(prior, symbols.tolist(), their_levels.tolist(), t[i]) == data
            longest = max(len(results[i][0]) for i in done)
            line += f"; with check {p.mean():.3f} dB, at most {longest} bytes, {len(results) - len(done)} failed"
        print(line, flush=True)


if __name__ == "__main__":
    main()
