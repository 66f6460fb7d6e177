"""What several tests use: vectors of the format, and drawn pictures."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aez import _models

VECTORS = Path(__file__).parents[3] / "tests" / "vectors"


def draw(width: int, height: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Waves of other colours and lengths for each seed."""
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(channels), indexing="ij")
    waves = 60 * np.sin(x / (7 + seed % 5) + c) + 50 * np.cos(y / 11 - c + seed) * np.sin(x / 40)
    return (127 + waves).astype(np.uint8)


def vectors() -> list[str]:
    """The names of the files that must be read."""
    return sorted(path.stem for path in VECTORS.glob("*.aez"))


def vector(name: str) -> tuple[bytes, dict[str, Any]]:
    """A file, and what it says."""
    properties = json.loads((VECTORS / f"{name}.json").read_text())
    return (VECTORS / f"{name}.aez").read_bytes(), properties


def crc16(data: bytes) -> int:
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xFFFF
    return crc


def seal(data: bytearray) -> None:
    """Writes the checksum that belongs to the bytes, without which no change would get past it. Does nothing to half a header."""
    edges, place = [], 4
    for _ in range(2):
        edge = 0
        for shift in range(0, 35, 7):
            if place >= len(data):
                return
            edge |= (data[place] & 0x7F) << shift
            place += 1
            if data[place - 1] < 0x80:
                break
        edges.append(edge + 1)
    place += 4
    length = 2 if not data[2] & 2 and max(edges) <= (256 if data[2] & 12 == 12 else 128) else 4
    if place + length <= len(data):
        others = bytes(data[:place] + data[place + length :])
        checksum = crc16(others) if length == 2 else zlib.crc32(others)
        data[place : place + length] = checksum.to_bytes(length, "little")


@pytest.fixture
def picture() -> np.ndarray:
    return draw(60, 40)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models that a test registers are known to that test only."""
    monkeypatch.setattr(_models, "_registered", {})
