"""Random crops of pictures that are held on the GPU."""

import copy
import hashlib
import math
import os
import random
from concurrent.futures import ThreadPoolExecutor

import torch
import torch.nn.functional as F

from network import luma_chroma

# Pictures are made smaller: not for this part of the crops, for the others by factors of this range, evenly on a log scale.
UNSCALED, FACTORS = 0.4, (0.35, 1.0)
# Pictures whose hash is below this are held out: those for validation and tests.
HELD_OUT = 0.05
# Probability that a crop is transposed, and that its contrast is lowered.
TRANSPOSED, PALE = 0.3, 0.2


def read(path):
    """A picture as [3, rows, columns] of bytes."""
    import torchvision

    return torchvision.io.read_image(path, torchvision.io.ImageReadMode.RGB)


def read_folder(folder, edge):
    """Names and pictures of a folder, those of at least `edge` pixels in both directions."""
    names = sorted(n for n in os.listdir(folder) if n.lower().endswith((".jpg", ".jpeg", ".png", ".webp")))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        pictures = list(pool.map(lambda name: read(os.path.join(folder, name)), names))
    return [(name, picture) for name, picture in zip(names, pictures) if min(picture.shape[1:]) >= edge]


class Crops:
    """Crops of `edge` pixels from folders, FOLDER or FOLDER@WEIGHT."""

    def __init__(self, folders, edge, device):
        self.edge, self.device, self.rng = edge, device, random.Random(1)
        self.train, self.held, self.visits = [], [], []
        for spec in folders:
            folder, _, weight = spec.partition("@")
            for name, picture in read_folder(folder, edge):
                self.add(name, picture.to(device), int(weight or 1))

    def add(self, name, picture, weight):
        leading = int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") / (1 << 48)
        if leading < HELD_OUT:
            self.held.append(picture)
        else:
            self.visits += [len(self.train)] * weight
            self.train.append(picture)

    def with_seed(self, seed):
        """The same pictures, other random crops."""
        other = copy.copy(self)
        other.rng = random.Random(seed)
        return other

    def crop(self):
        rng = self.rng
        picture = self.train[rng.choice(self.visits)]
        factor = 1.0 if rng.random() < UNSCALED else math.exp(rng.uniform(*map(math.log, FACTORS)))
        size = min(round(self.edge / factor), *picture.shape[1:])
        y, x = (rng.randrange(n - size + 1) for n in picture.shape[1:])
        crop = picture[:, y : y + size, x : x + size]
        if rng.random() < 0.5:
            crop = crop.flip(2)
        if rng.random() < TRANSPOSED:
            crop = crop.transpose(1, 2)
        crop = crop[None].float()
        if size != self.edge:
            crop = F.interpolate(crop, size=(self.edge, self.edge), mode="bicubic", antialias=True, align_corners=False)
        target = luma_chroma(crop.round().clamp(0, 255))
        if rng.random() < PALE:
            mean = target.mean((2, 3), keepdim=True)
            factors = [rng.uniform(0.6, 1.0)] + [rng.uniform(0.4, 1.1)] * 2
            target = mean + (target - mean) * torch.tensor(factors, device=self.device).view(1, 3, 1, 1)
        return target

    def crops(self, count):
        """Random crops in luma and chroma, [count, 3, edge, edge]."""
        return torch.cat([self.crop() for _ in range(count)])


def fixed_crops(pictures, edge):
    """Crops at fixed places, first one of each picture, then others."""
    crops = []
    for corner in range(4):
        for picture in pictures:
            h, w = picture.shape[1:]
            y, x = [(0, 0), (h - edge, w - edge), ((h - edge) // 2, (w - edge) // 2), (0, w - edge)][corner]
            crops.append(luma_chroma(picture[None, :, y : y + edge, x : x + edge]))
    return torch.cat(crops)
