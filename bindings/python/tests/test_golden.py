"""The vectors of the format: the pixels and metadata that every reader must give."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path

import aez
import numpy as np
import pytest
from conftest import VECTORS, draw, vector, vectors
from PIL import Image


@pytest.mark.parametrize("name", vectors())
def test_a_vector_is_decoded(name: str) -> None:
    data, properties = vector(name)
    expected = np.asarray(Image.open(VECTORS / f"{name}.png"))
    decoded = aez.decode(data, model=VECTORS / properties["model"])
    if expected.ndim == 2:
        expected = np.repeat(expected[..., np.newaxis], 3, axis=2)
    elif expected.shape[2] == 2:
        expected = expected[..., [0, 0, 0, 1]]
    assert decoded.shape == expected.shape
    tolerance = 0 if properties["model"] == "photo.safetensors" else 1
    difference = np.abs(decoded.astype(int) - expected.astype(int))
    assert difference[..., :3].max() <= tolerance and (difference[..., 3:] == 0).all()


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize("name", vectors())
def test_a_vector_is_described_and_opened(name: str) -> None:
    data, properties = vector(name)
    info = aez.info(data)
    for field in ("width", "height", "gray", "quality", "coder", "model_id"):
        assert info[field] == properties[field], field
    aez.register_model(VECTORS / properties["model"])
    image = Image.open(io.BytesIO(data))
    assert image.size == (properties["width"], properties["height"])
    for key, field in (("icc_profile", "icc"), ("exif", "exif"), ("xmp", "xmp")):
        expected = properties.get(field)
        assert image.info.get(key) == (None if expected is None else bytes.fromhex(expected)), field
    pixels = np.asarray(image.convert("RGBA"))
    decoded = aez.decode(data)
    assert (pixels[..., :3] == decoded[..., :3]).all()
    assert (pixels[..., 3:] == decoded[..., 3:]).all() or decoded.shape[2] == 3


def test_previews_are_decoded() -> None:
    model = aez.load_model(VECTORS / "model.safetensors")
    for preview in json.loads((VECTORS / "previews.json").read_text()):
        expected = Image.open(VECTORS / f"{preview['picture']}.png")
        decoded = aez.decode_preview(preview["text"], *expected.size, model=model)
        pixels = np.asarray(expected.convert("RGB" if decoded.shape[2] == 3 else "RGBA"))
        assert np.abs(decoded.astype(int) - pixels.astype(int)).max() <= 1


COMMAND = VECTORS.parents[1] / "target" / "release" / "aez"


@pytest.mark.skipif(not COMMAND.exists(), reason="the command is not built")
@pytest.mark.parametrize("model", ["tile", "photo"])
def test_files_and_pixels_are_those_of_the_command(model: str, tmp_path: Path) -> None:
    source, file, decoded = (tmp_path / name for name in ("picture.png", "picture.aez", "decoded.png"))
    picture = Image.fromarray(draw(120, 80, 4))
    picture.save(source)

    def aez_command(*arguments: str | Path) -> str:
        return subprocess.run([COMMAND, *arguments], check=True, capture_output=True, text=True).stdout

    aez_command("compress", "--model", model, "--effort", "1", "--quality", "40", source, file)
    assert aez.encode(picture, model=model, effort=1, quality=40) == file.read_bytes()
    aez_command("decompress", file, decoded)
    assert (np.asarray(Image.open(decoded)) == aez.decode(file.read_bytes())).all()
    assert aez_command("preview", source).strip() == aez.preview(picture)
    assert aez_command("preview", "--model", "tile", source).strip() == aez.preview(picture, model="tile")
