"""Arrays and images as pictures of the codec."""

from __future__ import annotations

import io
import sys
import warnings
from typing import TYPE_CHECKING, Any, Union

import numpy as np
import numpy.typing as npt

from ._aez import Picture
from ._errors import ArgumentError

if TYPE_CHECKING:
    from PIL.Image import Image

ImageLike = Union[npt.NDArray[np.uint8], "Image"]
"""An array of height x width, or height x width x 1 to 4 channels (gray, gray and alpha, RGB, RGBA), or a Pillow image."""

_EXIF_PREFIX = b"Exif\0\0"
_EXIF_DIRECTORY, _X_DIMENSION, _Y_DIMENSION = 0x8769, 0xA002, 0xA003
_ICC_SPACES = {True: b"GRAY", False: b"RGB "}


def picture(
    image: ImageLike,
    *,
    icc: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    strip: bool = False,
) -> Picture:
    """A picture, with the metadata of a Pillow image unless others are given; `b""` stands for none.

    With `strip`, the colours are converted to sRGB, and the picture has no metadata.
    """
    found: dict[str, bytes] = {}
    if _is_pillow(image):
        image, found = _from_pillow(image)
    given = {"icc": icc, "exif": exif, "xmp": xmp}
    parts = found | {name: part for name, part in given.items() if part is not None}
    pixels = _pixels(image)
    if strip:
        pixels, parts = _in_srgb(pixels, parts.get("icc")), {}
    height, width, channels = pixels.shape
    if parts.get("icc") and parts["icc"][16:20] != _ICC_SPACES[channels < 3]:
        warnings.warn("the colour profile is for other colours than the picture has, and is left out", stacklevel=3)
        del parts["icc"]
    icc, exif, xmp = (parts.get(name) or None for name in ("icc", "exif", "xmp"))
    if exif is not None:
        exif = exif.removeprefix(_EXIF_PREFIX)
    return Picture(pixels.tobytes(), width, height, channels, icc=icc, exif=exif, xmp=xmp)


def _pixels(image: Any) -> npt.NDArray[np.uint8]:
    array = np.asarray(image)
    if array.dtype != np.uint8:
        raise TypeError(f"pixels must be of type uint8, not {array.dtype}")
    if array.ndim == 2:
        array = array[:, :, np.newaxis]
    if array.ndim != 3 or not 1 <= array.shape[2] <= 4:
        raise ArgumentError(f"an array of shape {array.shape} is no picture: height x width (x 1 to 4 channels)")
    return array


def _is_pillow(image: Any) -> bool:
    # Without an import: who has no Pillow, has no image of it.
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(image, pillow.Image)


def _from_pillow(image: Any) -> tuple[npt.NDArray[np.uint8], dict[str, bytes]]:
    """The pixels, upright, and the metadata of a Pillow image."""
    from PIL import ImageOps

    image.load()
    upright = ImageOps.exif_transpose(image)
    info = upright.info
    xmp = info.get("xmp") or info.get("XML:com.adobe.xmp") or b""
    parts = {
        "icc": info.get("icc_profile") or b"",
        "exif": _exif(image, upright),
        "xmp": xmp.encode() if isinstance(xmp, str) else bytes(xmp),
    }
    if upright.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        # A profile of these colours is not one of RGB.
        del parts["icc"]
    return _to_channels(upright), parts


def _exif(image: Any, upright: Any) -> bytes:
    """The Exif block. Pillow removes the orientation of a picture that it turns, and leaves the dimensions as they were."""
    block: bytes = upright.info.get("exif") or b""
    if not block or upright.size == image.size:
        return block
    directories = upright.getexif()
    inner = directories.get_ifd(_EXIF_DIRECTORY)
    for tag, edge in ((_X_DIMENSION, upright.width), (_Y_DIMENSION, upright.height)):
        if tag in inner:
            inner[tag] = edge
    return bytes(directories.tobytes())


def _to_channels(image: Any) -> npt.NDArray[np.uint8]:
    """The pixels of an image of any mode whose range of values is known."""
    mode: str = image.mode
    if mode.startswith("I;16"):
        return np.asarray((np.asarray(image).astype(np.uint32) * 255 + 32767) // 65535, np.uint8)
    if mode in ("I", "F"):
        raise TypeError(f"the range of values of an image of mode {mode} is unknown: convert it to L or RGB before")
    has_alpha = image.has_transparency_data or mode in ("La", "RGBa")
    if mode in ("1", "L", "LA", "La"):
        wanted = "LA" if has_alpha else "L"
    else:
        wanted = "RGBA" if has_alpha else "RGB"
    return np.asarray(image if mode == wanted else image.convert(wanted))


def _in_srgb(pixels: npt.NDArray[np.uint8], icc: bytes | None) -> npt.NDArray[np.uint8]:
    """The pixels converted from a profile to sRGB, or as they are where that is impossible."""
    channels = pixels.shape[2]
    if not icc or icc[16:20] != _ICC_SPACES[channels < 3]:
        return pixels
    from PIL import Image, ImageCms

    colours = pixels[:, :, 0] if channels < 3 else pixels[:, :, :3]
    source = Image.fromarray(np.ascontiguousarray(colours))
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        converted = ImageCms.profileToProfile(source, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (OSError, ImageCms.PyCMSError) as error:
        warnings.warn(f"the colour profile cannot be used, its colours are taken as sRGB: {error}", stacklevel=4)
        return pixels
    rgb = np.asarray(converted)
    if channels < 3:
        rgb = rgb[:, :, 1:2]
    return rgb if channels % 2 else np.concatenate([rgb, pixels[:, :, -1:]], axis=2)
