"""AEZ: a neural image codec for pictures in about a hundred bytes, previews in a line of text, and small photographs.

>>> import aez, numpy
>>> data = aez.encode(numpy.full((40, 60, 3), 128, numpy.uint8), model="photo")
>>> aez.decode(data).shape
(40, 60, 3)

If Pillow is installed, `Image.open` and `Image.save` know `.aez` files after `import aez`.
"""

from importlib.metadata import version as _version

from ._aez import Model
from ._codec import decode, decode_preview, encode, info, preview
from ._errors import (
    ArgumentError,
    Error,
    FormatError,
    LimitError,
    ModelError,
    PreviewError,
    TargetError,
    UnsupportedError,
    WrongModelError,
)
from ._models import load_model, register_model

__version__ = _version("aez")
__all__ = [
    "ArgumentError",
    "Error",
    "FormatError",
    "LimitError",
    "Model",
    "ModelError",
    "PreviewError",
    "TargetError",
    "UnsupportedError",
    "WrongModelError",
    "decode",
    "decode_preview",
    "encode",
    "info",
    "load_model",
    "preview",
    "register_model",
]

try:
    from . import _pillow
except ImportError:
    # Without Pillow, arrays are encoded and decoded.
    pass
else:
    _pillow.register()
