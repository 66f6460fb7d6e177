"""The networks of the photo family in PyTorch: the layers, weights and loss of crates/aez-core/src/photo, without its speed."""

import math

import torch
import torch.nn.functional as F

PASSES = [(0, 0), (1, 1), (0, 1), (1, 0)]
CROSS = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)]
FIRST_STEP, STEP_RATIO = 2.94, 0.55
FROM_RGB = [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
TO_RGB = [[1.0, 0.0, 1.402], [1.0, -0.344136, -0.714136], [1.0, 1.772, 0.0]]
FLOOR, LOW, HIGH = 8e-6, -2.5, 5.375


def default_config():
    """The levels of `Config::default`."""
    coarse = dict(channels=3, features=16, wide=True, wide_chroma=True, hidden=16, neighbours=12, before=5, coarser=5, guides=0)
    finest = dict(channels=1, features=6, wide=True, wide_chroma=False, hidden=8, neighbours=8, before=0, coarser=1, guides=0)
    second = dict(coarse, channels=2, features=10, hidden=12, neighbours=8, before=3, coarser=3)
    return [finest, second] + [dict(coarse) for _ in range(5)]


def known_neighbours(p):
    """Distances to positions of earlier passes, the nearest first."""
    y, x = PASSES[p]
    offsets = [(r, c) for r in range(-4, 5) for c in range(-4, 5) if ((y + r) % 2, (x + c) % 2) in PASSES[:p]]
    return sorted(offsets, key=lambda o: (o[0] ** 2 + o[1] ** 2, abs(o[0]) + abs(o[1]), o[0], o[1]))


def context_taps(config, level, channel, p):
    """(plane, row, column) of each input; planes are `[channel][pass]` of the level, then channels of the coarser level."""
    sizes = config[level]
    own_planes = 4 * sizes["channels"]

    def own(ch, off):
        y, x = PASSES[p][0] + off[0], PASSES[p][1] + off[1]
        return (4 * ch + PASSES.index((y % 2, x % 2)), y // 2, x // 2)

    taps = [own(channel, o) for o in known_neighbours(p)[: sizes["neighbours"]]]
    if channel > 0:
        taps += [own(channel - 1, o) for o in CROSS[: sizes["before"]]]
    if channel > 1:
        taps.append(own(0, (0, 0)))
    if level + 1 < len(config):
        cc = config[level + 1]["channels"]
        same = min(channel, cc - 1)
        taps += [(own_planes + same, r, c) for r, c in CROSS[: sizes["coarser"]]]
        if cc > 1 and sizes["coarser"] > 1:
            taps.append((own_planes + (0 if same > 0 else cc - 1), 0, 0))
    return taps


class Layout:
    """Places of all arrays in the vector of parameters."""

    def __init__(self, config):
        self.config, self.at, self.count = config, {}, 0
        self.taps = {}
        for l, sizes in enumerate(config):
            for ch in range(sizes["channels"]):
                for p in range(4):
                    taps = context_taps(config, l, ch, p)
                    self.taps[l, ch, p] = taps
                    n, h, t = f"context.{l}.{ch}.{p}", sizes["hidden"], len(taps)
                    self.add(n + ".first.weight", t, h)
                    self.add(n + ".first.bias", h)
                    self.add(n + ".second.weight", h, h)
                    self.add(n + ".second.bias", h)
                    self.add(n + ".output.weight", h, 2)
                    self.add(n + ".output.bias", 2)
                    self.add(n + ".bypass.weight", t, 2)
        for l, s in enumerate(config):
            n, c, f = f"synthesis.{l}", s["channels"], s["features"]
            carried = 0 if l == 0 else config[l - 1]["features"]
            self.add(n + ".linear", c, 3)
            self.add(n + ".first.weight", 9 * (c + 1) + (18 if s["wide_chroma"] else 2), f)
            self.add(n + ".first.bias", f)
            self.add(n + ".second.weight", (9 if s["wide"] else 1) * f, f)
            self.add(n + ".second.bias", f)
            self.add(n + ".output.weight", (9 if l == 0 else 1) * f, 3)
            self.add(n + ".output.bias", 3)
            self.add(n + ".carry.weight", f, carried)
            self.add(n + ".gain", 1)

    def add(self, name, *shape):
        length = math.prod(shape)
        self.at[name] = (self.count, shape)
        self.count += length

    def index(self, name):
        start, shape = self.at[name]
        return torch.arange(start, start + math.prod(shape)).view(shape)


def initial_parameters(layout, seed):
    """As Network::new: decodes a Laplacian pyramid."""
    g = torch.Generator().manual_seed(seed)
    p = torch.zeros(layout.count)

    def fill(name, bound):
        start, shape = layout.at[name]
        n = math.prod(shape)
        p[start : start + n] = (2 * torch.rand(n, generator=g) - 1) * bound

    def eye(name, width, windows):
        start, (taps, out) = layout.at[name]
        for i in range(width):
            p[start + ((9 * i + 4) if windows else i) * out + i] += 1.0

    for l, s in enumerate(layout.config):
        for ch in range(s["channels"]):
            for q in range(4):
                n = f"context.{l}.{ch}.{q}"
                for layer in ["first", "second"]:
                    bound = max(1, layout.at[f"{n}.{layer}.weight"][1][0]) ** -0.5
                    fill(f"{n}.{layer}.weight", bound), fill(f"{n}.{layer}.bias", bound)
                eye(f"{n}.second.weight", s["hidden"], False)
        n = f"synthesis.{l}"
        for layer in ["first", "second"]:
            bound = max(1, layout.at[f"{n}.{layer}.weight"][1][0]) ** -0.5
            fill(f"{n}.{layer}.weight", bound), fill(f"{n}.{layer}.bias", bound)
        eye(f"{n}.second.weight", s["features"], s["wide"])
        fill(f"{n}.carry.weight", s["features"] ** -0.5)
        start = layout.at[f"{n}.linear"][0]
        for ch in range(min(3, s["channels"])):
            p[start + 4 * ch] = 1.0
    return p


class Laplace(torch.autograd.Function):
    """Bits of latents, with location and log scale (plus 1)."""

    @staticmethod
    def forward(ctx, x, location, scale):
        free = (scale >= LOW) & (scale <= HIGH)
        inverse = torch.exp(1.0 - scale.clamp(LOW, HIGH))
        signed = x - location
        d = signed.abs()
        near, far = (d - 0.5).abs() * inverse, (d + 0.5) * inverse
        en, ef = torch.exp(-near), torch.exp(-far)
        outside = d >= 0.5
        sign = torch.where(outside, 1.0, -1.0)
        total = torch.where(outside, 0.0, 1.0) + 0.5 * (sign * en - ef) + FLOOR
        slope = -math.log2(math.e) / total
        by_x = slope * torch.where(signed >= 0, 1.0, -1.0) * 0.5 * inverse * (ef - en)
        by_scale = slope * 0.5 * (sign * near * en - far * ef) * free
        ctx.save_for_backward(by_x, by_scale)
        return -torch.log2(total)

    @staticmethod
    def backward(ctx, g):
        by_x, by_scale = ctx.saved_tensors
        gx = g * by_x
        return gx, -gx, g * by_scale


def enlarging(n, kind):
    """The matrix [2n, n] that doubles n samples, edges repeated."""
    w = [-3 / 128, 29 / 128, 111 / 128, -9 / 128] if kind == "cubic" else [0.0, 0.25, 0.75, 0.0]
    m = torch.zeros(2 * n, n)
    for i in range(n):
        for k, d in enumerate([-2, -1, 0, 1]):
            m[2 * i, min(max(i + d, 0), n - 1)] += w[k]
            m[2 * i + 1, min(max(i - d, 0), n - 1)] += w[k]
    return m


class Network:
    """Crops of one size, through the network. Weights may differ for each crop."""

    def __init__(self, config, height, width, lam, device):
        self.layout, self.config, self.lam, self.device = Layout(config), config, lam, device
        self.sizes = [((height + (1 << l) - 1) >> l, (width + (1 << l) - 1) >> l) for l in range(len(config))]
        self.steps0 = [FIRST_STEP * math.sqrt(lam) * STEP_RATIO**l for l in range(len(config))]
        self.pixels = height * width
        self.lengths = [s["channels"] * h * w for s, (h, w) in zip(config, self.sizes)]
        self.to_rgb = torch.tensor(TO_RGB, device=device)
        self.cubic, self.linear = {}, {}
        for h, w in self.sizes[1:]:
            for n in (h, w):
                self.cubic[n] = enlarging(n, "cubic").to(device)
                self.linear[n] = enlarging(n, "linear").to(device)
        self.contexts = [self.plan_context(l) for l in range(len(config))]
        self.index = {n: self.layout.index(n).to(device) for n in self.layout.at}
        # The first layer's window of chroma may have only its centre.
        self.first = []
        for l, s in enumerate(config):
            idx = self.layout.index(f"synthesis.{l}.first.weight")
            planes = s["channels"] + 3
            if not s["wide_chroma"]:
                full = torch.full((9 * planes, s["features"]), self.layout.count)
                k = 9 * (s["channels"] + 1)
                full[:k] = idx[:k]
                full[k + 4], full[k + 13] = idx[k], idx[k + 1]
                idx = full
            self.first.append(idx.to(device))

    def plan_context(self, l):
        layout, s = self.layout, self.config[l]
        h, w = self.sizes[l]
        h2, w2 = (h + 1) // 2, (w + 1) // 2
        nets = [(ch, p) for ch in range(s["channels"]) for p in range(4)]
        most = max(len(layout.taps[l, ch, p]) for ch, p in nets)
        hidden, none = s["hidden"], layout.count
        first = torch.full((len(nets), most, hidden), none)
        bypass = torch.full((len(nets), most, 2), none)
        gather = torch.zeros(len(nets), most, h2, w2, dtype=torch.long)
        step = w2 + 4
        base = torch.arange(h2).view(-1, 1) * step + torch.arange(w2)
        exists = torch.zeros(len(nets), h2, w2)
        rest = {k: [] for k in ["first.bias", "second.weight", "second.bias", "output.weight", "output.bias"]}
        for i, (ch, p) in enumerate(nets):
            n, taps = f"context.{l}.{ch}.{p}", layout.taps[l, ch, p]
            first[i, : len(taps)] = layout.index(n + ".first.weight")
            bypass[i, : len(taps)] = layout.index(n + ".bypass.weight")
            for t, (plane, r, c) in enumerate(taps):
                gather[i, t] = base + plane * (h2 + 4) * step + (r + 2) * step + (c + 2)
            for k in rest:
                rest[k].append(layout.index(f"{n}.{k}"))
            dy, dx = PASSES[p]
            exists[i, : (h - dy + 1) // 2, : (w - dx + 1) // 2] = 1.0
        d = self.device
        plan = dict(nets=len(nets), taps=most, size=(h2, w2), gather=gather.flatten().to(d), exists=exists.view(len(nets), -1).to(d))
        plan["first"], plan["bypass"] = first.to(d), bypass.to(d)
        plan.update({k: torch.stack(v).to(d) for k, v in rest.items()})
        return plan

    def levels(self, flat):
        """Latents [B, all] as a list of [B, channels, rows, columns]."""
        parts = flat.split(self.lengths, dim=1)
        return [p.view(-1, s["channels"], *size) for p, s, size in zip(parts, self.config, self.sizes)]

    def bits(self, latents, weights):
        """Bits of each crop; weights are [B, parameters + 1], the last one 0."""
        total, each = 0.0, []
        for l, plan in enumerate(self.contexts):
            x = latents[l]
            b, c = x.shape[:2]
            h2, w2 = plan["size"]
            x = F.pad(x, (0, 2 * w2 - x.shape[3], 0, 2 * h2 - x.shape[2]))
            phases = torch.stack([x[:, :, dy::2, dx::2] for dy, dx in PASSES], dim=2).view(b, 4 * c, h2, w2)
            planes = torch.cat([phases, latents[l + 1]], 1) if l + 1 < len(latents) else phases
            planes = F.pad(planes, (2, 2, 2, 2)).flatten(1)
            cols = planes.index_select(1, plan["gather"]).view(b, plan["nets"], plan["taps"], h2 * w2)
            w = lambda k: weights[:, plan[k]]
            one = torch.relu(w("first").transpose(2, 3) @ cols + w("first.bias").unsqueeze(3))
            two = torch.relu(w("second.weight").transpose(2, 3) @ one + w("second.bias").unsqueeze(3))
            out = w("output.weight").transpose(2, 3) @ two + w("bypass").transpose(2, 3) @ cols + w("output.bias").unsqueeze(3)
            own = phases.view(b, plan["nets"], h2 * w2)
            bits = Laplace.apply(own, out[:, :, 0], out[:, :, 1]) * plan["exists"]
            bits = bits.sum((1, 2))
            each.append(bits)
            total = total + bits
        return total, each

    def layer(self, x, w):
        """A window of 3x3 or 1x1: x [B, planes, rows, columns], w [B, taps, outputs]."""
        b, c, h, wd = x.shape
        if w.shape[1] > c:
            x = F.unfold(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3)
        return (w.transpose(1, 2) @ x.flatten(2)).view(b, w.shape[2], h, wd)

    def picture(self, latents, weights):
        """Luma and chroma [B, 3, rows, columns]."""
        n = len(self.config)
        picture = carry = None
        for l in reversed(range(n)):
            h, wd = self.sizes[l]
            w = lambda k: weights[:, self.index[f"synthesis.{l}.{k}"]]
            step = self.steps0[l] * torch.exp(w("gain")).view(-1, 1, 1, 1)
            x = latents[l] * step
            colours = (w("linear").transpose(1, 2) @ x.flatten(2)).view(-1, 3, h, wd)
            first_bias = w("first.bias")[:, :, None, None]
            if picture is not None:
                ch, cw = self.sizes[l + 1]
                up = (self.cubic[ch] @ picture @ self.cubic[cw].t())[:, :, :h, :wd]
                colours = colours + up
                carry = (self.linear[ch] @ carry @ self.linear[cw].t())[:, :, :h, :wd]
            first = self.layer(torch.cat([x, colours], 1), weights[:, self.first[l]]) + first_bias
            if carry is not None:
                first = first + carry
            first = torch.relu(first)
            features = torch.relu(self.layer(first, w("second.weight")) + w("second.bias")[:, :, None, None])
            picture = colours + self.layer(features, w("output.weight")) + w("output.bias")[:, :, None, None]
            if l > 0:
                carry = self.layer(features, w("carry.weight"))
        return picture

    def squares(self, picture, target):
        """Sum of squared errors in red, green and blue."""
        rgb = torch.einsum("ij,bjhw->bihw", self.to_rgb, picture - target)
        return (rgb * rgb).sum((1, 2, 3))

    def pyramid(self, target):
        """Latents [B, all] of a Laplacian pyramid. Sizes must halve exactly."""
        averages = [target]
        for h, w in self.sizes[1:]:
            a = averages[-1]
            a = F.pad(a, (0, 2 * w - a.shape[3], 0, 2 * h - a.shape[2]), mode="replicate")
            averages.append(F.avg_pool2d(a, 2))
        latents, now = [], None
        for l in reversed(range(len(self.config))):
            if now is None:
                now = torch.zeros_like(averages[l])
            else:
                h, w = self.sizes[l]
                ch, cw = self.sizes[l + 1]
                now = (self.cubic[ch] @ now @ self.cubic[cw].t())[:, :, :h, :w]
            c = self.config[l]["channels"]
            k = min(c, 3)
            latent = (averages[l] - now)[:, :k] / self.steps0[l]
            add = torch.zeros_like(now)
            add[:, :k] = latent.round() * self.steps0[l]
            now = now + add
            latents.append(F.pad(latent, (0, 0, 0, 0, 0, c - k)).flatten(1))
        return torch.cat(latents[::-1], 1)


def luma_chroma(rgb):
    """[B, 3, rows, columns] of 0..255 to luma and chroma with a mean of 0."""
    m = torch.tensor(FROM_RGB, device=rgb.device)
    return torch.einsum("ij,bjhw->bihw", m, rgb.float() / 255 - 0.5)
