"""Pillow: images as input, and the plugin that opens and saves files."""

from __future__ import annotations

import io
from pathlib import Path

import aez
import numpy as np
import pytest
from conftest import draw, seal
from PIL import Image, ImageCms, ImageFile, UnidentifiedImageError

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ORIENTATION, EXIF_DIRECTORY, X_DIMENSION = 0x0112, 0x8769, 0xA002


def image(mode: str, size: tuple[int, int] = (40, 30)) -> Image.Image:
    """A picture of any mode; an alpha channel is opaque."""
    return Image.fromarray(draw(*size)).convert(mode)


def photo(source: Image.Image, **options: object) -> bytes:
    return aez.encode(source, model="photo", effort=0, **options)  # type: ignore[arg-type]


def as_png(source: Image.Image, **options: object) -> Image.Image:
    file = io.BytesIO()
    source.save(file, "PNG", **options)
    return Image.open(file)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "HSV", "LA", "RGBA", "La", "RGBa", "PA"])
def test_modes(mode: str) -> None:
    if mode in ("La", "RGBa", "PA"):
        source = image({"La": "LA", "RGBa": "RGBA", "PA": "LA"}[mode]).convert(mode)
    else:
        source = image(mode)
    data = photo(source)
    assert aez.info(data)["gray"] == (mode in ("1", "L", "LA", "La"))
    decoded = aez.decode(data).astype(int)
    if mode == "La":
        source = source.convert("LA")
    expected = np.asarray(source.convert("RGBA").convert("RGB")).astype(int)
    # Dithering is noise.
    assert np.abs(decoded[..., :3] - expected).mean() < (60 if mode in ("1", "P") else 12)


def test_sixteen_bits_are_rounded_and_unknown_ranges_rejected() -> None:
    values = np.arange(1200, dtype=np.uint16).reshape(30, 40) * 54
    assert photo(Image.fromarray(values)) == photo(Image.fromarray(np.round(values / 257).astype(np.uint8)))
    for mode in ("I", "F"):
        with pytest.raises(TypeError, match="range of values"):
            photo(image("L").convert(mode))


def test_alpha_of_images() -> None:
    alpha = draw(40, 30, 1)[..., 0]
    source = image("RGB")
    source.putalpha(Image.fromarray(alpha))
    assert (aez.decode(photo(source))[..., 3] == alpha).all()
    palette = image("P")
    palette.info["transparency"] = 0
    assert photo(palette) == photo(palette.convert("RGBA"))
    colour = as_png(image("RGB"), transparency=(0, 0, 0))
    assert photo(colour) == photo(colour.convert("RGBA"))


def test_metadata_of_images_are_kept() -> None:
    exif = Image.Exif()
    exif[0x010E] = "described"
    file = io.BytesIO()
    image("RGB").save(file, "JPEG", exif=exif, icc_profile=SRGB, xmp=b"<x:xmpmeta/>")
    source = Image.open(file)
    data = photo(source)
    opened = Image.open(io.BytesIO(data))
    assert opened.info["icc_profile"] == SRGB and opened.info["xmp"] == b"<x:xmpmeta/>"
    assert opened.info["exif"] == source.info["exif"].removeprefix(b"Exif\0\0")
    assert opened.getexif()[0x010E] == "described"
    assert photo(source, icc=b"", exif=b"", xmp=b"") == photo(np.asarray(source))
    assert photo(source, icc=b"", exif=b"", xmp=b"new") == photo(np.asarray(source), xmp=b"new")
    with pytest.warns(UserWarning, match="profile is for other colours"):
        assert "icc_profile" not in Image.open(io.BytesIO(photo(source.convert("L")))).info
    assert aez.info(photo(source.convert("CMYK")))["icc_bytes"] == 0


def test_an_image_is_turned_upright() -> None:
    source, exif = image("RGB", (40, 30)), Image.Exif()
    exif[ORIENTATION] = 6
    exif.get_ifd(EXIF_DIRECTORY)[X_DIMENSION] = 40
    turned = as_png(source, exif=exif)
    opened = Image.open(io.BytesIO(photo(turned)))
    assert opened.size == (30, 40)
    assert ORIENTATION not in opened.getexif()
    assert opened.getexif().get_ifd(EXIF_DIRECTORY)[X_DIMENSION] == 30
    assert photo(turned, exif=b"") == photo(source.transpose(Image.Transpose.ROTATE_270))
    assert turned.size == (40, 30), "the image itself is left as it is"


def test_colours_become_srgb_where_a_profile_cannot_be_kept() -> None:
    lab = ImageCms.createProfile("LAB")
    source = image("RGB")
    source.info["icc_profile"] = SRGB
    plain = photo(np.asarray(source))
    near = aez.decode(photo(source, strip=True)).astype(int) - aez.decode(plain)
    assert np.abs(near).mean() < 2
    source.info["icc_profile"] = b"\0" * 16 + b"RGB " + b"\0" * 108
    with pytest.warns(UserWarning, match="cannot be used"):
        assert photo(source, strip=True) == plain
    with pytest.warns(UserWarning, match="cannot be used"):
        assert aez.preview(source) == aez.preview(np.asarray(source))
    source.info["icc_profile"] = ImageCms.ImageCmsProfile(lab).tobytes()
    assert photo(source, strip=True) == plain


def test_the_format_is_registered() -> None:
    assert Image.registered_extensions()[".aez"] == "AEZ"
    assert Image.MIME["AEZ"] == "image/x-aez"


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_files_are_saved_and_opened(mode: str, tmp_path: Path) -> None:
    source, path = image(mode), tmp_path / "picture.aez"
    if mode.endswith("A"):
        source.putalpha(Image.fromarray(draw(40, 30, 1)[..., 0]))
    source.save(path, model="photo", effort=0, quality=60)
    assert path.read_bytes() == photo(source, quality=60)
    with Image.open(path) as opened:
        assert (opened.format, opened.mode, opened.size) == ("AEZ", mode, (40, 30))
        decoded = aez.decode(path.read_bytes())
        assert (np.asarray(opened.convert("RGB")) == decoded[..., :3]).all()
        assert opened.copy().resize((5, 5)).size == (5, 5)


def test_options_of_saving() -> None:
    source = image("RGB")
    source.info["icc_profile"] = SRGB
    for options in ({"target_bytes": 400}, {"target_psnr": 20.0}, {"icc_profile": None}, {"strip": True}):
        file = io.BytesIO()
        source.save(file, "AEZ", model="photo", effort=0, **options)
        as_call = {("icc" if name == "icc_profile" else name): value or b"" for name, value in options.items()}
        assert file.getvalue() == photo(source, **as_call)
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x010E] = "described"
    source.save(file, "AEZ", exif=exif)
    assert Image.open(file).getexif()[0x010E] == "described"
    with pytest.raises(aez.ArgumentError):
        source.save(io.BytesIO(), "AEZ", quality=0)


def test_opening_decodes_nothing(tmp_path: Path) -> None:
    """A file of a model that is not here has a size, and its pixels are an error."""
    data = bytearray(photo(image("RGB", (200, 100))))
    place = 4 + 2 + 1
    data[place] ^= 0xFF
    seal(data)
    path = tmp_path / "picture.aez"
    path.write_bytes(data)
    opened = Image.open(path)
    assert opened.size == (200, 100) and opened.mode == "RGB"
    with pytest.raises(OSError, match="needs model"):
        opened.load()
    for _ in range(2):
        with pytest.raises(OSError):
            opened.getpixel((0, 0))


def test_damaged_files_are_not_identified(monkeypatch: pytest.MonkeyPatch) -> None:
    data = photo(image("RGB"))
    for wrong in (data[:-1], data[:8], data[:3], b"\xae\x5a\x2c" + data[3:]):
        with pytest.raises(UnidentifiedImageError):
            Image.open(io.BytesIO(wrong))
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(data[:-1]))


def test_pillow_limits_the_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    data = photo(image("RGB"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(data))
