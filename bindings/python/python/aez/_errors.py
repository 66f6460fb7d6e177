"""The exceptions. Their names and attributes are those of the errors of the Rust library."""

from __future__ import annotations


class Error(ValueError):
    """The base of all errors of the codec."""


class ArgumentError(Error):
    """A call asked for something impossible, such as quality 101."""


class FormatError(Error):
    """The bytes are not an AEZ file, or a damaged one."""


class PreviewError(FormatError):
    """The text is not a preview of the model."""


class UnsupportedError(Error):
    """The file needs a newer version of this package."""


class LimitError(Error):
    """The data ask for more than the caller's limits.

    `limit` names the limit; `found` is the value that the data ask for, `allowed` the limit.
    """

    def __init__(self, message: str, limit: str = "", found: int = 0, allowed: int = 0) -> None:
        super().__init__(message)
        self.limit, self.found, self.allowed = limit, found, allowed


class ModelError(Error):
    """A model is missing, or its file cannot be used."""


class WrongModelError(ModelError):
    """The file was encoded with the model whose id is `wanted`; `given` is the id of the model at hand."""

    def __init__(self, message: str, wanted: str = "", given: str = "") -> None:
        super().__init__(message)
        self.wanted, self.given = wanted, given


class TargetError(Error):
    """No setting reaches `target`, a size in bytes or a PSNR in decibels. `best` is what was reached."""

    def __init__(self, message: str, target: float = 0, best: float = 0) -> None:
        super().__init__(message)
        self.target, self.best = target, best
