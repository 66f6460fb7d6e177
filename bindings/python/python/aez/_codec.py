"""Encoding and decoding."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from . import _aez
from ._errors import ArgumentError
from ._input import ImageLike, picture
from ._models import ModelLike, load_model, model_for, model_for_preview

if TYPE_CHECKING:
    from typing_extensions import Buffer

MAX_EDGE, MAX_PIXELS, MAX_MEMORY = _aez.DEFAULT_LIMITS


def encode(
    image: ImageLike,
    *,
    quality: int | None = None,
    target_bytes: int | None = None,
    target_psnr: float | None = None,
    model: ModelLike = "tile",
    tune: Literal["psnr", "ssim"] = "psnr",
    effort: int | None = None,
    exact: bool = False,
    strip: bool = False,
    icc: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
) -> bytes:
    """Encodes a picture as the bytes of an `.aez` file.

    image: an array of type uint8, height x width (x 1 to 4 channels: gray, gray and alpha, RGB, RGBA), or a Pillow image.
        An image is turned upright, and its metadata are kept.
    quality: from 1 (smallest file) to 100 (best picture), by default 75.
    target_bytes: the best quality that fits into so many bytes.
    target_psnr: the smallest file of at least so many decibels.
    model: `tile` for pictures in about a hundred bytes, `photo` for photographs, the path of a model file, or a `Model`.
    tune: the measure of quality to aim at. With `ssim`, which needs a model of the photo family, details in busy places count less.
    effort: how long to search for a better representation, from 0 to 9. By default 0 for `tile`, 3 for `photo`.
    exact: keep the colours of fully transparent pixels, instead of those that take the fewest bytes.
    strip: leave out metadata, after converting the colours to sRGB.
    icc, exif, xmp: metadata, in place of those of a Pillow image; `b""` leaves them out.

    Raises `ArgumentError`, `TargetError` or `ModelError`, and `TypeError` for pixels of another type.
    """
    return _aez.encode(
        picture(image, icc=icc, exif=exif, xmp=xmp, strip=strip),
        load_model(model),
        quality=quality,
        target_bytes=target_bytes,
        target_psnr=target_psnr,
        tune=tune,
        effort=effort,
        exact=exact,
    )


def decode(
    data: Buffer,
    *,
    model: ModelLike | None = None,
    max_edge: int = MAX_EDGE,
    max_pixels: int = MAX_PIXELS,
    max_memory: int = MAX_MEMORY,
) -> npt.NDArray[np.uint8]:
    """Decodes an `.aez` file to an array of height x width x 3, or x 4 if parts of the picture are transparent.

    model: by default the one that the file needs: a registered one, or that of its family.
    max_edge, max_pixels, max_memory: the most that the file may ask for: pixels of width and height, pixels of the whole
        picture, bytes in use at once (without the model).

    Raises `FormatError`, `UnsupportedError`, `LimitError` or `ModelError`.
    """
    data = as_bytes(data)
    chosen = model_for(data) if model is None else load_model(model)
    return _array(_aez.decode(data, chosen, (max_edge, max_pixels, max_memory)))


def info(data: Buffer) -> dict[str, Any]:
    """The properties of an `.aez` file: its size in pixels, quality, model, and the bytes of each part.

    Nothing is decoded. Raises `FormatError` or `UnsupportedError`.
    """
    properties: dict[str, Any] = json.loads(_aez.info(as_bytes(data)))
    return properties


def preview(image: ImageLike, *, bytes: int = _aez.DEFAULT_PREVIEW_BYTES, model: ModelLike = "preview") -> str:
    """Encodes a picture as a text of letters, digits, `-` and `_`, to be shown until the picture has been loaded.

    bytes: the most bytes that the text represents, 16 to 200; three bytes are four characters.
    model: `preview`, whose decoder is small and shows the same pixels on every machine, or `tile`.
    """
    return _aez.encode_preview(picture(image, strip=True), load_model(model), bytes)


def decode_preview(
    text: str,
    width: int | None = None,
    height: int | None = None,
    *,
    model: ModelLike | None = None,
    max_edge: int = MAX_EDGE,
    max_pixels: int = MAX_PIXELS,
    max_memory: int = MAX_MEMORY,
) -> npt.NDArray[np.uint8]:
    """Decodes a preview to an array of height x width x 3, or x 4 if parts of the picture are transparent.

    width, height: the size in pixels. Without it, the longer side has 96 pixels.
    model: by default `preview` or `tile`, as the text says.

    Raises `PreviewError` for other texts, `LimitError` for a size above the limits.
    """
    if (width is None) != (height is None):
        raise ArgumentError("width and height must be given together")
    size = None if width is None or height is None else (width, height)
    limits = (max_edge, max_pixels, max_memory)
    chosen = model_for_preview(text) if model is None else load_model(model)
    return _array(_aez.decode_preview(text, chosen, size, limits))


def as_bytes(data: Buffer) -> bytes:
    """The bytes of any object that has some, in a copy that does not change."""
    return data if isinstance(data, bytes) else memoryview(data).tobytes()


def _array(decoded: _aez.Decoded) -> npt.NDArray[np.uint8]:
    width, height = decoded.size
    channels = 4 if decoded.has_alpha else 3
    return np.frombuffer(decoded.pixels(channels), np.uint8).reshape(height, width, channels)
