"""The networks with the kernels of kernels.cu. Gradients of weights are added to an array with a row for each crop."""

import ctypes

import torch

from network import PASSES, Network


class ConvArguments(ctypes.Structure):
    _fields_ = [(n, ctypes.c_void_p) for n in ["x", "w", "bias", "add", "y"]] + [
        (n, ctypes.c_long) for n in ["x_step", "w_step", "y_step"]] + [(n, ctypes.c_int) for n in ["planes", "rows", "columns", "relu"]]


class ContextArguments(ctypes.Structure):
    _fields_ = [(n, ctypes.c_void_p) for n in ["own", "coarser", "weights", "own_gradient", "coarser_gradient", "gradient", "bits", "taps", "nets"]] + [
        (n, ctypes.c_long) for n in ["own_step", "coarser_step", "weight_step"]] + [
        (n, ctypes.c_int) for n in ["rows", "columns", "coarser_rows", "coarser_columns", "tiles_of_block", "bits_step"]]


class Kernels:
    def __init__(self, path, device):
        self.lib, self.cuda = ctypes.CDLL(path), device != "cpu"

    def __call__(self, name, *args):
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream if self.cuda else 0)
        code = getattr(self.lib, name)(stream, *args)
        assert code == 0, f"{name}: {code} {[a for a in args if isinstance(a, int)]}"


def pointer(t, offset=0):
    return None if t is None else t.data_ptr() + 4 * offset


class Conv(torch.autograd.Function):
    """relu(bias + add + windows of x * w), with weights from `place` on and biases from `bias` on in each crop's array."""

    @staticmethod
    def forward(ctx, x, add, net, weights, gradient, place, bias, window, outputs, relu):
        b, planes, rows, columns = x.shape
        x = x.contiguous()
        add = add.contiguous() if add is not None else None
        y = torch.empty(b, outputs, rows, columns, device=x.device)
        w_step = weights.stride(0)
        a = ConvArguments(pointer(x), pointer(weights, place), pointer(weights, bias) if bias >= 0 else None, pointer(add), pointer(y),
                          x.stride(0), w_step, y.stride(0), planes, rows, columns, int(relu))
        net.kernels("conv", b, window, outputs, ctypes.byref(a))
        ctx.save_for_backward(x, y if relu else None)
        ctx.rest = net, weights, gradient, place, bias, window, outputs, add is not None
        return y

    @staticmethod
    def backward(ctx, g):
        x, y = ctx.saved_tensors
        net, weights, gradient, place, bias, window, outputs, added = ctx.rest
        b, planes, rows, columns = x.shape
        g = (g * (y > 0) if y is not None else g).contiguous()
        if bias >= 0:
            gradient[:, bias : bias + outputs] += g.sum((2, 3))
        a = ConvArguments(pointer(x), None, None, None, None, x.stride(0), gradient.stride(0), 0, planes, rows, columns, 0)
        net.kernels("conv_weight", b, window, outputs, ctypes.byref(a), ctypes.c_void_p(pointer(g)), ctypes.c_void_p(pointer(gradient, place)))
        gx = None
        if ctx.needs_input_grad[0]:
            gx = torch.empty_like(x)
            a = ConvArguments(pointer(g), pointer(weights, place), None, None, pointer(gx), g.stride(0), weights.stride(0), gx.stride(0), planes, rows, columns, 0)
            net.kernels("conv_input", b, window, outputs, ctypes.byref(a))
        return gx, g if added else None, None, None, None, None, None, None, None, None


class Scale(torch.autograd.Function):
    """Latents times the step of the level, which is initial * exp(gain)."""

    @staticmethod
    def forward(ctx, x, initial, weights, gradient, place):
        step = (initial * torch.exp(weights[:, place : place + 1])).view(-1, 1, 1, 1)
        y = x * step
        ctx.save_for_backward(y, step)
        ctx.rest = gradient, place
        return y

    @staticmethod
    def backward(ctx, g):
        y, step = ctx.saved_tensors
        gradient, place = ctx.rest
        gradient[:, place : place + 1] += (g * y).sum((1, 2, 3)).view(-1, 1)
        return g * step, None, None, None, None


class FastNetwork(Network):
    def __init__(self, config, edge, lam, device, library):
        super().__init__(config, edge, edge, lam, device)
        self.kernels = Kernels(library, device)
        self.tables = []
        for l, s in enumerate(config):
            most = max(len(t) for (level, _, _), t in self.layout.taps.items() if level == l)
            taps, nets = [], []
            for ch in range(s["channels"]):
                for p in range(4):
                    row = []
                    for plane, r, c in self.layout.taps[l, ch, p]:
                        if plane < 4 * s["channels"]:
                            q = PASSES[plane % 4]
                            row.append([0, plane // 4, 2 * r + q[0] - PASSES[p][0], 2 * c + q[1] - PASSES[p][1]])
                        else:
                            row.append([1, plane - 4 * s["channels"], r, c])
                    nets.append([self.layout.at[f"context.{l}.{ch}.{p}.first.weight"][0], len(row), ch, p])
                    taps.append(row + [[-1, 0, 0, 0]] * (most - len(row)))
            as_int = lambda v: torch.tensor(v, dtype=torch.int32).to(device)
            self.tables.append((most, as_int(taps), as_int(nets), len(nets)))
        self.starts = [sum(self.lengths[:l]) for l in range(len(config))]

    def context(self, flat, weights, flat_gradient, gradient):
        """Bits [B, levels] of latents [B, all]; adds the gradients of latents and weights."""
        b = flat.shape[0]
        bits = torch.zeros(b, len(self.config), device=flat.device)
        for l, (most, taps, nets, count) in enumerate(self.tables):
            at, above = self.starts[l], self.starts[l + 1] if l + 1 < len(self.config) else 0
            size, coarser = self.sizes[l], self.sizes[l + 1] if l + 1 < len(self.config) else (0, 0)
            a = ContextArguments(pointer(flat, at), pointer(flat, above), pointer(weights), pointer(flat_gradient, at), pointer(flat_gradient, above),
                                 pointer(gradient), pointer(bits, l), pointer(taps), pointer(nets), flat.stride(0), flat.stride(0), weights.stride(0),
                                 size[0], size[1], coarser[0], coarser[1], 0, len(self.config))
            self.kernels("context", b, count, most, self.config[l]["hidden"], ctypes.byref(a))
        return bits

    def conv(self, x, add, name, bias, window, outputs, relu, weights, gradient, skip=0):
        weight = name if name in self.layout.at else name + ".weight"
        place = self.layout.at[weight][0] + skip
        at = self.layout.at[name + ".bias"][0] if bias else -1
        return Conv.apply(x, add, self, weights, gradient, place, at, window, outputs, relu)

    def synthesis(self, flat, weights, gradient, multiplier):
        """The picture of latents [B, all] whose steps are changed by `multiplier` [B, 1]."""
        latents = self.levels(flat)
        picture = carry = None
        run = lambda *args, skip=0: self.conv(*args, weights, gradient, skip=skip)
        for l in reversed(range(len(self.config))):
            h, wd = self.sizes[l]
            s = self.config[l]
            f, c, name = s["features"], s["channels"], f"synthesis.{l}"
            x = Scale.apply(latents[l], self.steps0[l] * multiplier, weights, gradient, self.layout.at[name + ".gain"][0])
            up = down = None
            if picture is not None:
                ch, cw = self.sizes[l + 1]
                up = (self.cubic[ch] @ picture @ self.cubic[cw].t())[:, :, :h, :wd]
                down = (self.linear[ch] @ carry @ self.linear[cw].t())[:, :, :h, :wd]
            colours = run(x, up, name + ".linear", False, 1, 3, False)
            if s["wide_chroma"]:
                first = run(torch.cat([x, colours], 1), down, name + ".first", True, 3, f, True)
            else:
                chroma = run(colours[:, 1:], down, name + ".first", True, 1, f, False, skip=9 * (c + 1) * f)
                first = run(torch.cat([x, colours[:, :1]], 1), chroma, name + ".first", False, 3, f, True)
            features = run(first, None, name + ".second", True, 3 if s["wide"] else 1, f, True)
            picture = run(features, colours, name + ".output", True, 3 if l == 0 else 1, 3, False)
            if l > 0:
                carry = run(features, None, name + ".carry", False, 1, self.config[l - 1]["features"], False)
        return picture
