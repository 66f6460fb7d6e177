"""The native part: see the Rust code in `src`."""

from typing import final

Limits = tuple[int, int, int]

DEFAULT_LIMITS: Limits
DEFAULT_PREVIEW_BYTES: int

@final
class Model:
    """A trained model, which encodes and decodes pictures."""

    def __new__(cls, data: bytes) -> Model: ...
    @staticmethod
    def photo() -> Model: ...
    @staticmethod
    def preview() -> Model: ...
    @property
    def id(self) -> str: ...
    @property
    def family(self) -> str: ...

@final
class Picture:
    def __new__(
        cls,
        pixels: bytes,
        width: int,
        height: int,
        channels: int,
        *,
        icc: bytes | None,
        exif: bytes | None,
        xmp: bytes | None,
    ) -> Picture: ...

@final
class Decoded:
    @property
    def size(self) -> tuple[int, int]: ...
    @property
    def has_alpha(self) -> bool: ...
    def pixels(self, channels: int) -> bytearray: ...

def encode(
    picture: Picture,
    model: Model,
    *,
    quality: int | None,
    target_bytes: int | None,
    target_psnr: float | None,
    tune: str,
    effort: int | None,
    exact: bool,
) -> bytes: ...
def decode(data: bytes, model: Model, limits: Limits) -> Decoded: ...
def model_of(data: bytes) -> tuple[int, str]: ...
def info(data: bytes) -> str: ...
def metadata(data: bytes, limits: Limits) -> list[bytes | None]: ...
def preview_family(text: str) -> str: ...
def encode_preview(picture: Picture, model: Model, bytes: int) -> str: ...
def decode_preview(text: str, model: Model, size: tuple[int, int] | None, limits: Limits) -> Decoded: ...
