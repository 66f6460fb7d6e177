"""Properties of encoding and decoding."""

from __future__ import annotations

import pickle

import aez
import numpy as np
import pytest
from conftest import draw


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b.astype(float)) ** 2)))


@pytest.mark.parametrize("model", ["tile", "photo"])
@pytest.mark.parametrize("shape", [(1, 1), (97, 5), (40, 60, 1), (40, 60, 2), (40, 60, 3), (33, 21, 4)])
def test_shapes_are_kept(model: str, shape: tuple[int, ...]) -> None:
    channels = shape[2] if len(shape) == 3 else 1
    picture = draw(shape[1], shape[0], channels).reshape(shape)
    decoded = aez.decode(aez.encode(picture, model=model, effort=0))
    assert decoded.dtype == np.uint8 and decoded.flags.writeable
    assert decoded.shape == (*shape[:2], 3 if channels % 2 else 4)
    if channels < 3:
        assert (decoded[..., 0] == decoded[..., 1]).all() and (decoded[..., 1] == decoded[..., 2]).all()
    if channels % 2 == 0:
        assert (decoded[..., 3] == picture[..., -1]).all(), "alpha is lossless"


def test_an_array_need_not_be_contiguous(picture: np.ndarray) -> None:
    wide = np.repeat(picture, 2, axis=1)
    views = [wide[:, ::2], np.asfortranarray(picture), picture[::-1][::-1], np.flip(np.flip(picture, 2), 2)]
    files = {aez.encode(view, model="photo", effort=0) for view in [picture, *views]}
    assert len(files) == 1
    turned = picture.transpose(1, 0, 2)
    assert aez.decode(aez.encode(turned, model="photo", effort=0)).shape == turned.shape
    read_only = picture.copy()
    read_only.flags.writeable = False
    assert aez.encode(read_only, model="photo", effort=0) in files


def test_quality_and_effort_have_an_effect(picture: np.ndarray) -> None:
    files = [aez.encode(picture, model="photo", quality=quality, effort=1) for quality in (5, 50, 95)]
    assert sorted(files, key=len) == files
    errors = [psnr(picture, aez.decode(file)) for file in files]
    assert sorted(errors) == errors
    assert [aez.info(file)["quality"] for file in files] == [5, 50, 95]
    assert aez.encode(picture, model="photo", effort=0) != aez.encode(picture, model="photo", effort=2)
    assert aez.encode(picture, model="photo", effort=3) == aez.encode(picture, model="photo")
    assert aez.encode(picture) == aez.encode(picture, model="tile", quality=75, effort=0)
    assert aez.encode(picture, model="photo", effort=0) != aez.encode(picture, model="photo", effort=0, tune="ssim")


def test_targets_are_reached(picture: np.ndarray) -> None:
    assert len(aez.encode(picture, target_bytes=60)) <= 60
    assert psnr(picture, aez.decode(aez.encode(picture, target_psnr=15))) > 14.9
    with pytest.raises(aez.TargetError) as caught:
        aez.encode(picture, target_bytes=5)
    assert caught.value.target == 5 < caught.value.best
    with pytest.raises(aez.TargetError) as caught:
        aez.encode(picture, target_psnr=99)
    assert caught.value.target == 99 > caught.value.best


def test_hidden_colours_are_kept_only_if_that_is_wanted() -> None:
    picture = draw(40, 40, 4)
    picture[:, :20, 3], picture[:, 20:, 3] = 0, 255
    other = picture.copy()
    other[:, :20, :3] = 255 - other[:, :20, :3]
    assert aez.encode(picture) == aez.encode(other)
    assert aez.encode(picture, exact=True) != aez.encode(other, exact=True)


def test_metadata_of_arrays(picture: np.ndarray) -> None:
    exif, xmp = b"II*\0\x08\0\0\0\0\0\0\0\0\0", b"<x:xmpmeta/>"
    data = aez.encode(picture, exif=exif, xmp=xmp)
    assert aez.info(data)["exif_bytes"] > 0 < aez.info(data)["xmp_bytes"]
    assert aez.encode(picture, exif=b"Exif\0\0" + exif, xmp=xmp) == data
    assert aez.encode(picture, exif=exif, xmp=xmp, strip=True) == aez.encode(picture)
    with pytest.warns(UserWarning, match="profile is for other colours"):
        assert aez.encode(picture, icc=b"\0" * 16 + b"GRAY" + b"\0" * 108) == aez.encode(picture)


def test_files_come_from_any_buffer(picture: np.ndarray) -> None:
    data = aez.encode(picture)
    expected = aez.decode(data)
    for same in (bytearray(data), memoryview(data), np.frombuffer(data, np.uint8)):
        assert (aez.decode(same) == expected).all()
        assert aez.info(same) == aez.info(data)
    for wrong in (5, "text", None):
        with pytest.raises(TypeError):
            aez.decode(wrong)  # type: ignore[arg-type]


def test_previews(picture: np.ndarray) -> None:
    text = aez.preview(picture, bytes=21)
    assert len(text) <= 28
    assert max(aez.decode_preview(text).shape) == 96
    assert aez.decode_preview(text, 32, 20).shape == (20, 32, 3)
    clear = draw(64, 64, 4)
    clear[:, :32, 3], clear[:, 32:, 3] = 0, 255
    assert aez.decode_preview(aez.preview(clear)).shape[2] == 4
    for model, other in (("tile", "preview"), ("preview", "tile")):
        text = aez.preview(picture, model=model)
        assert np.array_equal(aez.decode_preview(text), aez.decode_preview(text, model=model))
        with pytest.raises(aez.PreviewError, match="family"):
            aez.decode_preview(text, model=other)
    with pytest.raises(aez.ArgumentError, match="together"):
        aez.decode_preview(text, 32)
    with pytest.raises(aez.ArgumentError, match="family"):
        aez.preview(picture, model="photo")


@pytest.mark.parametrize(
    "options",
    [
        {"quality": 0},
        {"quality": 101},
        {"quality": -1},
        {"quality": 300},
        {"effort": 10},
        {"tune": "vmaf"},
        {"tune": "ssim", "model": "tile"},
        {"effort": -1},
        {"target_psnr": float("nan")},
        {"target_psnr": 0.5},
        {"quality": 50, "target_bytes": 100},
        {"target_bytes": 100, "target_psnr": 20},
    ],
)
def test_impossible_arguments_are_errors(picture: np.ndarray, options: dict[str, float]) -> None:
    with pytest.raises(aez.ArgumentError):
        aez.encode(picture, **{"model": "photo", **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(0, 5), (5, 0, 3), (4, 4, 0), (4, 4, 5), (4,), (1, 4, 4, 3)])
def test_shapes_that_are_no_picture(shape: tuple[int, ...]) -> None:
    with pytest.raises(aez.ArgumentError):
        aez.encode(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("kind", [np.float32, np.int64, np.uint16, np.bool_, object])
def test_types_that_are_no_pixels(kind: type) -> None:
    with pytest.raises(TypeError):
        aez.encode(np.zeros((4, 4, 3), kind))
    for other in (None, "path", [[1, 2], [3, 4]]):
        with pytest.raises(TypeError):
            aez.encode(other)  # type: ignore[arg-type]


def test_limits(picture: np.ndarray) -> None:
    data = aez.encode(picture, model="photo", effort=0)
    aez.decode(data, max_edge=60, max_pixels=2400)
    for limits, name in [
        ({"max_edge": 59}, "picture edge"),
        ({"max_pixels": 2399}, "number of pixels"),
        ({"max_memory": 1000}, "memory use"),
    ]:
        with pytest.raises(aez.LimitError) as caught:
            aez.decode(data, **limits)
        assert caught.value.limit == name and caught.value.found > caught.value.allowed
    with pytest.raises(aez.LimitError):
        aez.decode_preview(aez.preview(picture), 100_000, 100)


def test_errors_are_value_errors_and_survive_a_copy() -> None:
    """Frameworks send them from one process to another."""
    with pytest.raises(ValueError) as caught:
        aez.decode(aez.encode(draw(30, 20)), max_edge=1)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert type(copy) is aez.LimitError
    assert (str(copy), copy.found, copy.allowed) == (str(caught.value), 30, 1)
