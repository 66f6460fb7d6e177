"""Models by name, by path, and where they are missing."""

from __future__ import annotations

import sys
from pathlib import Path

import aez
import numpy as np
import pytest
from aez import _models
from conftest import VECTORS


def test_a_model_file_by_its_path(picture: np.ndarray) -> None:
    path = VECTORS / "model.safetensors"
    data = aez.encode(picture, model=path)
    assert data == aez.encode(picture, model=str(path)) == aez.encode(picture, model=aez.load_model(path))
    assert aez.decode(data, model=path).shape == picture.shape
    with pytest.raises(aez.WrongModelError) as caught:
        aez.decode(data)
    assert caught.value.wanted == aez.load_model(path).id == aez.info(data)["model_id"]
    assert caught.value.given == aez.load_model("tile").id


@pytest.mark.usefixtures("registry")
def test_registered_models_are_found(picture: np.ndarray) -> None:
    model = aez.register_model(VECTORS / "normalized.safetensors")
    assert aez.decode(aez.encode(picture, model=model)).shape == picture.shape


def test_named_models_are_loaded_once() -> None:
    assert aez.load_model("photo") is aez.load_model("photo")
    assert [aez.load_model(name).family for name in ("tile", "photo", "preview")] == ["tiled", "photo", "preview"]
    assert repr(aez.load_model("photo")).startswith("<aez.Model ")


def test_a_missing_model_package_is_named(picture: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    data, text = aez.encode(picture), aez.preview(picture, model="tile")
    monkeypatch.setattr(_models, "_built_in", {})
    monkeypatch.setitem(sys.modules, "aez_model_tile", None)
    for call in (lambda: aez.encode(picture), lambda: aez.decode_preview(text), lambda: aez.decode(data)):
        with pytest.raises(aez.ModelError, match="pip install aez-model-tile"):
            call()
    assert aez.decode(aez.encode(picture, model="photo", effort=0)).shape == picture.shape
    assert max(aez.decode_preview(aez.preview(picture)).shape) == 96


def test_files_that_are_no_models(picture: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(aez.ModelError, match="neither tile, photo nor preview, nor the path"):
        aez.encode(picture, model="tiel")
    whole = (VECTORS / "model.safetensors").read_bytes()
    for content in (b"", b"\0" * 100, whole[:100], whole[:-1], whole[8:]):
        path = tmp_path / "no.safetensors"
        path.write_bytes(content)
        with pytest.raises(aez.ModelError):
            aez.encode(picture, model=path)
