"""Training and test data: squares of photographs, scaled to 96x96 pixels.

    python data.py train OUT FOLDER...     random squares, and OUT-held from pictures that are held out
    python data.py test OUT FOLDER         the centre squares, as `aez eval --square 96` cuts them
"""

import argparse
import pathlib

import numpy as np
import torch
from PIL import Image

from model import analyse

HELD_OUT = 24
EDGE = 96


def pictures(folders):
    names = [p for folder in folders for p in sorted(pathlib.Path(folder).iterdir())]
    return [p for p in names if p.suffix.lower() in (".jpg", ".jpeg", ".png")]


def random_square(image, generator, whole):
    """A square of the whole shorter side, or of a random part of it."""
    shorter = min(image.size)
    part = 1.0
    if not whole:
        part = np.exp(generator.uniform(np.log(0.3), 0)) if generator.random() < 0.75 else generator.uniform(0.8, 1)
    side = max(part * shorter, 110.0)
    x, y = (generator.uniform(0, edge - side) for edge in image.size)
    return np.asarray(image.resize((EDGE, EDGE), Image.LANCZOS, box=(x, y, x + side, y + side)))


def training_squares(folders, count):
    """Squares for training, in random order, and from pictures that are held out."""
    generator = np.random.default_rng(1)
    names = pictures(folders)
    held_out = set(generator.permutation(len(names))[:HELD_OUT].tolist())
    train, held = [], []
    for i, name in enumerate(names):
        image = Image.open(name).convert("RGB")
        if i in held_out:
            held += [random_square(image, generator, j == 0) for j in range(16)]
        else:
            n = count * 3 if max(image.size) > 700 else count
            train += [random_square(image, generator, j < n // 25) for j in range(n)]
    train = np.stack(train)
    generator.shuffle(train)
    return train, np.stack(held)


def lanczos(source, target):
    """The matrix that scales rows of `source` pixels to `target` pixels."""
    scale = source / target
    stretch = max(scale, 1.0)
    matrix = np.zeros((target, source))
    for t in range(target):
        centre = (t + 0.5) * scale
        first = int(max(np.floor(centre - 3 * stretch + 0.5), 0))
        end = min(int(np.floor(centre + 3 * stretch + 0.5)), source)
        x = (np.arange(first, end) + 0.5 - centre) / stretch
        w = np.where(abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)
        matrix[t, first:end] = w / w.sum()
    return matrix


def centre_squares(folder):
    squares = []
    for name in pictures([folder]):
        levels = np.asarray(Image.open(name).convert("RGB")).astype(float)
        height, width = levels.shape[:2]
        side = min(height, width)
        y, x = (height - side) // 2, (width - side) // 2
        scale = lanczos(side, EDGE)
        scaled = np.einsum("ij,jkc->ikc", scale, levels[y : y + side, x : x + side])
        scaled = np.einsum("ij,kjc->kic", scale, scaled)
        squares.append(np.clip(np.floor(scaled + 0.5), 0, 255).astype(np.uint8))
    return np.stack(squares)


def coefficients(squares):
    """Coefficients [n, 3 * 48 * 48] of half precision, and the mean squared error [n] of the rest."""
    n = len(squares)
    result, rest = torch.empty(n, 3 * 48 * 48, dtype=torch.float16), torch.empty(n)
    for i in range(0, n, 1000):
        part = torch.from_numpy(np.array(squares[i : i + 1000]))
        c = analyse(part).flatten(1)
        result[i : i + 1000] = c
        power = ((part.float() / 255 - 0.5) ** 2).mean((1, 2, 3))
        rest[i : i + 1000] = (power - (c**2).mean(1)).clamp(min=0)
    return result, rest


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("what", choices=("train", "test"))
    arguments.add_argument("out")
    arguments.add_argument("folders", nargs="+")
    arguments.add_argument("--count", type=int, default=240, help="squares of each picture")
    options = arguments.parse_args()
    torch.set_num_threads(1)
    if options.what == "test":
        np.save(options.out + ".npy", centre_squares(options.folders[0]))
        return
    train, held = training_squares(options.folders, options.count)
    torch.save(coefficients(train), options.out + ".pt")
    torch.save(coefficients(held), options.out + "-held.pt")
    np.save(options.out + "-held.npy", held)


if __name__ == "__main__":
    main()
