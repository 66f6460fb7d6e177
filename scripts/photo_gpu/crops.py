"""Random crops of pictures that are held on the GPU, as `aez train --family photo` makes them."""

import hashlib
import os
import random
from concurrent.futures import ThreadPoolExecutor

import torch
import torch.nn.functional as F

from network import luma_chroma

SCALES = [1.0, 1.0, 0.75, 0.5, 0.35]
# Pictures whose hash is below this are held out: those for validation and tests.
HELD_OUT = 0.05
# Probability that a crop is transposed, and that its contrast is lowered.
TRANSPOSED, PALE = 0.3, 0.2


def read(path):
    """A picture as [3, rows, columns] of bytes."""
    import torchvision

    return torchvision.io.read_image(path, torchvision.io.ImageReadMode.RGB)


class Crops:
    """Crops of `edge` pixels from folders, FOLDER or FOLDER@WEIGHT."""

    def __init__(self, folders, edge, device, seed=1):
        self.edge, self.device, self.rng = edge, device, random.Random(seed)
        self.train, self.held, self.visits = [], [], []
        for spec in folders:
            folder, _, weight = spec.partition("@")
            names = sorted(n for n in os.listdir(folder) if n.lower().endswith((".jpg", ".jpeg", ".png", ".webp")))
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                pictures = list(pool.map(lambda name: read(os.path.join(folder, name)), names))
            for name, picture in zip(names, pictures):
                if min(picture.shape[1:]) >= edge:
                    self.add(name, picture.to(device), int(weight or 1))

    def add(self, name, picture, weight):
        leading = int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") / (1 << 48)
        if leading < HELD_OUT:
            self.held.append(picture)
        else:
            self.visits += [len(self.train)] * weight
            self.train.append([self.scaled(picture, scale) for scale in SCALES])

    def scaled(self, picture, scale):
        scale = min(1.0, max(scale, self.edge / min(picture.shape[1:])))
        if scale == 1.0:
            return picture
        size = tuple(max(self.edge, round(n * scale)) for n in picture.shape[1:])
        small = F.interpolate(picture[None].float(), size=size, mode="bicubic", antialias=True, align_corners=False)
        return small[0].round().clamp(0, 255).to(torch.uint8)

    def crop(self):
        rng = self.rng
        picture = rng.choice(self.train[rng.choice(self.visits)])
        y, x = (rng.randrange(n - self.edge + 1) for n in picture.shape[1:])
        crop = picture[:, y : y + self.edge, x : x + self.edge]
        if rng.random() < 0.5:
            crop = crop.flip(2)
        if rng.random() < TRANSPOSED:
            crop = crop.transpose(1, 2)
        target = luma_chroma(crop[None])
        if rng.random() < PALE:
            mean = target.mean((2, 3), keepdim=True)
            factors = [rng.uniform(0.6, 1.0)] + [rng.uniform(0.4, 1.1)] * 2
            target = mean + (target - mean) * torch.tensor(factors, device=self.device).view(1, 3, 1, 1)
        return target

    def crops(self, count):
        """Random crops in luma and chroma, [count, 3, edge, edge]."""
        return torch.cat([self.crop() for _ in range(count)])

    def held_out(self, count):
        """Crops at fixed places of the held-out pictures, repeated up to `count`, and the number of different ones."""
        edge, crops = self.edge, []
        for corner in range(4):
            for picture in self.held:
                h, w = picture.shape[1:]
                y, x = [(0, 0), (h - edge, w - edge), ((h - edge) // 2, (w - edge) // 2), (0, w - edge)][corner]
                crops.append(luma_chroma(picture[None, :, y : y + edge, x : x + edge]))
        different = min(count, len(crops))
        return torch.cat((crops * (count // len(crops) + 1))[:count]), different
