"""What several tests use: vectors of the format, and drawn pictures."""

from __future__ import annotations

import json
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


@pytest.fixture
def picture() -> np.ndarray:
    return draw(60, 40)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models that a test registers are known to that test only."""
    monkeypatch.setattr(_models, "_registered", {})
