"""Models by their names and files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Union

from . import _aez
from ._aez import Model
from ._errors import ModelError

ModelLike = Union[str, "os.PathLike[str]", Model]
"""The name of a model (`tile`, `photo` or `preview`), the path of a model file, or a model."""

_FAMILIES = {0: "tile", 3: "photo"}
_built_in: dict[str, Model] = {}
_registered: dict[str, Model] = {}


def load_model(model: ModelLike) -> Model:
    """The model of a name, `tile`, `photo` or `preview`, or of a model file.

    The named models are loaded once for the whole process; a file is read at each call.
    """
    if isinstance(model, Model):
        return model
    if model not in _LOADERS:
        return _read(model)
    name = str(model)
    if name not in _built_in:
        _built_in[name] = _LOADERS[name]()
    return _built_in[name]


def register_model(model: ModelLike) -> Model:
    """Makes `decode` and `Image.open` read files of this model, too, in the whole process."""
    loaded = load_model(model)
    _registered[loaded.id] = loaded
    return loaded


def model_for(data: bytes) -> Model:
    """The model that a file needs: a registered one, or else that of its family."""
    family, model_id = _aez.model_of(data)
    if model_id in _registered:
        return _registered[model_id]
    # Of an unknown family, any model reports the error.
    return load_model(_FAMILIES.get(family, "photo"))


def model_for_preview(text: str) -> Model:
    """The named model of the family that a preview belongs to."""
    return load_model("preview" if _aez.preview_family(text) == "preview" else "tile")


def _tile() -> Model:
    try:
        from aez_model_tile import PATH
    except ImportError:
        raise ModelError("the model tile is a package of its own: pip install aez-model-tile") from None
    return Model(PATH.read_bytes())


def _read(path: str | os.PathLike[str]) -> Model:
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise ModelError(f"{str(path)!r} is neither tile, photo nor preview, nor the path of a model file") from None
    return Model(data)


_LOADERS = {"tile": _tile, "photo": Model.photo, "preview": Model.preview}
