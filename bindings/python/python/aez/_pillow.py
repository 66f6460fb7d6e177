"""A plugin by which Pillow opens and saves `.aez` files."""

from __future__ import annotations

import io
from typing import IO, Any

from PIL import Image, ImageFile

from . import _aez
from ._codec import encode, info
from ._errors import Error
from ._models import model_for

_FORMAT = "AEZ"
_OPTIONS = ("quality", "target_bytes", "target_psnr", "model", "tune", "effort", "exact", "strip", "exif", "xmp")
_INFO_KEYS = ("icc_profile", "exif", "xmp")


def _accept(prefix: bytes) -> bool:
    # The magic number and version 1; two bytes are too few to recognize a format by.
    return prefix[:2] == b"\xae\x5a" and prefix[2:3] != b"" and prefix[2] >> 4 == 1


class AezImageFile(ImageFile.ImageFile):
    """An `.aez` file. Its pixels are decoded when they are first needed."""

    format = _FORMAT
    format_description = "AEZ image"

    def _open(self) -> None:
        assert self.fp is not None
        self._data: bytes | None = self.fp.read(_aez.DEFAULT_LIMITS[2] + 1)
        try:
            properties = info(self._data)
            metadata = _aez.metadata(self._data, _aez.DEFAULT_LIMITS)
        except Error as error:
            # The error by which Pillow learns that this is no image.
            raise SyntaxError(str(error)) from error
        self._size = properties["width"], properties["height"]
        self._mode = ("L" if properties["gray"] else "RGB") + ("A" if properties["alpha_bytes"] else "")
        self.info.update({key: part for key, part in zip(_INFO_KEYS, metadata) if part is not None})
        self.tile = []

    def load(self) -> Any:
        if self._data is not None:
            data = self._data
            try:
                decoded = _aez.decode(data, model_for(data), _aez.DEFAULT_LIMITS)
            except Error as error:
                raise OSError(f"cannot decode the AEZ file: {error}") from error
            channels = len(self._mode)
            if self.fp is not None and self._exclusive_fp:
                self.fp.close()
            self.fp = io.BytesIO(decoded.pixels(channels))
            self.tile = [ImageFile._Tile("raw", (0, 0, *self.size), 0, self._mode)]
            self._data = None
        return super().load()

    def load_seek(self, pos: int) -> None:
        """Nothing: there are no other images in the file."""


def _save(image: Image.Image, file: IO[bytes], filename: str | bytes) -> None:
    given = image.encoderinfo
    options: dict[str, Any] = {name: given[name] for name in _OPTIONS if name in given}
    if isinstance(options.get("exif"), Image.Exif):
        options["exif"] = options["exif"].tobytes()
    if "icc_profile" in given:
        # As for Pillow's own formats, None stands for no profile.
        options["icc"] = given["icc_profile"] or b""
    file.write(encode(image, **options))


def register() -> None:
    """Registers the format with Pillow."""
    Image.register_open(_FORMAT, AezImageFile, _accept)
    Image.register_save(_FORMAT, _save)
    Image.register_extension(_FORMAT, ".aez")
    Image.register_mime(_FORMAT, "image/x-aez")
