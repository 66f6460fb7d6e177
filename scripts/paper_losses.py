#!/usr/bin/env python3
"""Losses of the paper's training loop, computed by PyTorch.

    scripts/paper_losses.py reference             prints the numbers that tests/training.rs compares with
    scripts/paper_losses.py check MODEL STL10_DIR compares the last row of MODEL.csv with the weights in MODEL.checkpoint,
                                                  on the whole validation and test set

The second form is for runs of `aez train --recipe paper --data stl10:STL10_DIR --out MODEL`. Weights and pictures are 32-bit floats, and all sums are in 64 bits. Needs
the packages torch and numpy.
"""

import csv
import json
import math
import os
import sys

import numpy as np
import torch
import torch.nn.functional as F

BATCH = 64
RECORD = 3 * 96 * 96


def layers(config):
    """Name, stride, and whether it is transposed, of each convolution."""
    count = 2 + 2 * config["reductions"]
    encoder = [(f"encoder.conv{i}", 2 if i >= 2 and i % 2 == 0 else 1, False) for i in range(count)]
    decoder = [(f"decoder.conv{i}", 2 if i % 2 == 1 and i != count - 1 else 1, True) for i in range(count)]
    return encoder, decoder


def parameters(config, values):
    """The parameters in the layout of PyTorch. `values(name, shape)` gives an array in the layout of AEZ: channels last."""
    encoder, decoder = layers(config)
    channels = [config["channels"] << i for i in range(config["reductions"] + 1)]
    pairs = [(3, channels[0]), (channels[0], channels[0])]
    for narrow, wide in zip(channels, channels[1:]):
        pairs += [(narrow, wide), (wide, wide)]
    result = {}
    for (name, _, transposed), (high, low) in list(zip(encoder, pairs)) + list(zip(decoder, reversed(pairs))):
        weight = values(f"{name}.weight", (3, 3, high, low))
        # A convolution has (out, in, 3, 3), a transposed one (in, out, 3, 3).
        result[f"{name}.weight"] = weight.transpose(3, 2, 0, 1)
        result[f"{name}.bias"] = values(f"{name}.bias", (high if transposed else low,))
    edge, wide, latents = config["tile"] >> config["reductions"], channels[-1], config["latents"]
    bottom = edge * edge * wide
    # From rows, columns, channels to channels, rows, columns.
    order = np.arange(bottom).reshape(edge, edge, wide).transpose(2, 0, 1).reshape(-1)
    result["encoder.linear.weight"] = values("encoder.linear.weight", (bottom, latents))[order].T
    result["encoder.linear.bias"] = values("encoder.linear.bias", (latents,))
    result["decoder.linear.weight"] = values("decoder.linear.weight", (latents, bottom))[:, order].T
    result["decoder.linear.bias"] = values("decoder.linear.bias", (bottom,))[order]
    return {name: torch.tensor(np.ascontiguousarray(value)).double() for name, value in result.items()}


def run(config, p, x):
    """The output of the network for tiles (batch, 3, rows, columns), in the units of the network."""
    encoder, decoder = layers(config)
    for name, stride, _ in encoder:
        x = F.relu(F.conv2d(x, p[f"{name}.weight"], p[f"{name}.bias"], stride, 1))
    x = F.relu(F.linear(x.flatten(1), p["encoder.linear.weight"], p["encoder.linear.bias"]))
    x = F.relu(F.linear(x, p["decoder.linear.weight"], p["decoder.linear.bias"]))
    edge = config["tile"] >> config["reductions"]
    x = x.reshape(len(x), -1, edge, edge)
    for name, stride, _ in decoder:
        x = F.conv_transpose2d(x, p[f"{name}.weight"], p[f"{name}.bias"], stride, 1, stride - 1)
        x = x if name == decoder[-1][0] else F.relu(x)
    return x


def loss(config, p, tiles):
    """Mean squared error of a batch, for values in [0, 1] of unclamped output."""
    if config["normalize"]:
        tiles = (tiles - 0.5) / 0.5
    error = F.mse_loss(run(config, p, tiles), tiles)
    return error / 4 if config["normalize"] else error


def mean_loss(config, p, pictures):
    """The mean of the losses of the batches."""
    with torch.no_grad():
        batches = [loss(config, p, to_tiles(pictures[i : i + BATCH])).item() for i in range(0, len(pictures), BATCH)]
    return sum(batches) / len(batches) if batches else math.nan


def to_tiles(records):
    """Records of STL-10 (channels, columns, rows) as tiles (batch, channels, rows, columns)."""
    return torch.tensor(records.reshape(-1, 3, 96, 96).transpose(0, 1, 3, 2).astype(np.float32) / np.float32(255)).double()


# The numbers for the test: weights and pictures are made by formulas that the test repeats.


def formula_weights(name, shape):
    index = np.arange(math.prod(shape), dtype=np.uint64) + np.uint64(sum(name.encode()) * 1000003)
    x = index * np.uint64(2654435761) % np.uint64(2**32)
    x = (x ^ (x >> np.uint64(15))) * np.uint64(2246822519) % np.uint64(2**32)
    x ^= x >> np.uint64(13)
    unit = (x >> np.uint64(8)).astype(np.float32) / np.float32(2**23) - np.float32(1)
    bound = math.sqrt(14 * shape[-1] / math.prod(shape)) if len(shape) > 1 else 0.1
    return (unit * np.float32(bound)).reshape(shape)


def formula_pictures(start, count):
    picture, channel, column, row = np.ogrid[start : start + count, :3, :96, :96]
    return (3 * column + row * (picture % 5 + 1) + 40 * channel + 7 * picture) % 256


def reference():
    config = {"tile": 96, "channels": 2, "reductions": 3, "latents": 8}
    sets = [formula_pictures(*part) for part in [(0, 48), (1000, 66), (2000, 70)]]
    for normalize in [False, True]:
        config["normalize"] = normalize
        p = parameters(config, formula_weights)
        optimizer = torch.optim.Adam([value.requires_grad_() for value in p.values()], lr=1e-3)
        tiles = to_tiles(sets[0])
        print(f"normalize {normalize}: training, validation and test loss after each epoch")
        # With training, the losses depend more and more on how sums are rounded.
        for epoch in range(3):
            train = math.nan
            if epoch > 0:
                optimizer.zero_grad()
                # The paper differentiates the loss in the units of the network.
                error = loss(config, p, tiles)
                (error * 4 if normalize else error).backward()
                optimizer.step()
                train = error.item()
            print(f"    [{train:.9f}, {mean_loss(config, p, sets[1]):.9f}, {mean_loss(config, p, sets[2]):.9f}],")


# The comparison of a run with its log.


def read_checkpoint(path):
    with open(path, "rb") as file:
        data = file.read()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    config = json.loads(header["__metadata__"]["aez-checkpoint"])["progress"]["config"]

    def values(name, shape):
        begin, end = header[f"value:{name}"]["data_offsets"]
        return np.frombuffer(data[8 + size + begin : 8 + size + end], "<f4").reshape(shape)

    return config, parameters(config, values)


def thin(count, kept):
    """Indices of at most `kept` evenly spaced items."""
    kept = min(count, kept)
    return [i for i in range(count) if i == 0 or i * kept // count > (i - 1) * kept // count]


def held_out(folder):
    """The validation and the test set of a run."""
    read = lambda name: np.fromfile(os.path.join(folder, name), np.uint8).reshape(-1, RECORD)
    if os.path.exists(os.path.join(folder, "unlabeled_X.bin")):
        unlabeled = read("unlabeled_X.bin")
        return unlabeled[thin(len(unlabeled), 1000)], read("test_X.bin")
    train = read("train_X.bin")
    each = min(20, len(train))
    return train[each - 1 :: each] if len(train) >= 3 else train[:0], read("test_X.bin")


def check(model, folder):
    config, p = read_checkpoint(f"{model}.checkpoint")
    with open(f"{model}.csv") as file:
        row = list(csv.DictReader(file))[-1]
    worst = 0.0
    for name, pictures in zip(["validation", "test"], held_out(folder)):
        logged, found = float(row[f"{name}_loss"]), mean_loss(config, p, pictures)
        print(f"{name}: {len(pictures)} tiles, log {logged:.8f}, PyTorch {found:.8f}")
        worst = max(worst, abs(logged - found) / max(1.0, abs(found)))
    print(f"largest difference: {worst:.1e}")
    return worst <= 1e-6


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1:] == ["reference"]:
        reference()
    elif len(sys.argv) == 4 and sys.argv[1] == "check":
        sys.exit(0 if check(*sys.argv[2:]) else 1)
    else:
        sys.exit(__doc__)
