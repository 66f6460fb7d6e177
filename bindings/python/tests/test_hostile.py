"""No bytes crash the interpreter: each call returns or raises an error of the package."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path

import aez
import pytest
from conftest import VECTORS, seal, vector, vectors
from PIL import Image

pytestmark = pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning")

KINDS = {
    "not_aez": aez.FormatError,
    "damaged": aez.FormatError,
    "version": aez.UnsupportedError,
    "unsupported": aez.UnsupportedError,
    "limit": aez.LimitError,
    "wrong_model": aez.WrongModelError,
    "preview": aez.PreviewError,
}
LIMITS = {"max_pixels": 1 << 16, "max_memory": 1 << 26}


def rejected(folder: str, model: str) -> list[tuple[str, dict[str, str]]]:
    cases = json.loads((VECTORS / folder / "rejected.json").read_text())
    return [pytest.param(model, folder, case, id=f"{folder}/{case['input']}") for case in cases]


@pytest.mark.parametrize(
    ("model", "folder", "case"),
    rejected("rejected", "model")
    + rejected("rejected_photo", "photo")
    + rejected("rejected_moved", "moved"),
)
def test_a_file_is_rejected_for_its_reason(model: str, folder: str, case: dict[str, str]) -> None:
    data = (VECTORS / folder / case["input"]).read_bytes()
    with pytest.raises(KINDS[case["kind"]]) as caught:
        aez.decode(data, model=VECTORS / f"{model}.safetensors")
    assert case["message"] in str(caught.value)
    use_everything(data, VECTORS / f"{model}.safetensors")


def test_texts_that_are_no_previews() -> None:
    model = aez.load_model(VECTORS / "model.safetensors")
    for case in json.loads((VECTORS / "rejected_previews.json").read_text()):
        with pytest.raises(aez.PreviewError):
            aez.decode_preview(case["input"], model=model)
    generator = random.Random(1)
    for length in range(300):
        text = "".join(generator.choices("abcXYZ019-_", k=length))
        try:
            aez.decode_preview(text, 8, 8, model=model)
        except aez.PreviewError:
            pass
    for text in ("", "\0", "\u20ac" * 30, "=" * 28, "A" * 100_000):
        for chosen in (model, None):
            with pytest.raises(aez.PreviewError):
                aez.decode_preview(text, model=chosen)


def use_everything(data: bytes, model: aez.Model | Path) -> bool:
    """Calls everything that reads files. Returns whether the file was decoded."""
    for call in (aez.info, lambda data: Image.open(io.BytesIO(data)).size):
        try:
            call(data)
        except (aez.Error, OSError, Image.DecompressionBombError, Image.DecompressionBombWarning):
            pass
    try:
        aez.decode(data, model=model, **LIMITS)
        return True
    except aez.Error:
        return False


def mutated(data: bytes, generator: random.Random) -> bytearray:
    changed = bytearray(data)
    for _ in range(generator.choice([1, 1, 2, 5])):
        place = generator.randrange(len(changed))
        match generator.randrange(4):
            case 0:
                changed[place] ^= 1 << generator.randrange(8)
            case 1:
                changed[place] = generator.choice([0, 1, 0x7F, 0x80, 0xFF])
            case 2:
                del changed[place:]
                changed += generator.randbytes(generator.randrange(1, 40))
            case _:
                changed[place:place] = generator.randbytes(generator.randrange(1, 5))
    return changed


@pytest.mark.parametrize("name", vectors())
def test_changed_files_are_decoded_or_rejected(name: str) -> None:
    data, properties = vector(name)
    model = aez.load_model(VECTORS / properties["model"])
    generator = random.Random(name)
    for length in range(0, len(data), max(1, len(data) // 40)):
        assert not use_everything(data[:length], model)
    decoded = 0
    for _ in range(60):
        changed = mutated(data, generator)
        seal(changed)
        decoded += use_everything(bytes(changed), model)
    print(f"{name}: {decoded} of 60 changed files were decoded")


@pytest.mark.parametrize("name", ["model", "normalized", "packed", "photo"])
def test_changed_model_files_are_used_or_rejected(name: str) -> None:
    data = (VECTORS / f"{name}.safetensors").read_bytes()
    file = next(file for file, properties in map(vector, vectors()) if properties["model"] == f"{name}.safetensors")
    generator = random.Random(name)
    for _ in range(60):
        try:
            model = aez.Model(bytes(mutated(data, generator)))
        except aez.ModelError:
            continue
        use_everything(file, model)


def test_random_bytes() -> None:
    generator = random.Random(0)
    model = aez.load_model("photo")
    for length in range(200):
        assert not use_everything(generator.randbytes(length), model)
        assert not use_everything(b"\xae\x5a\x1c" + generator.randbytes(length), model)
