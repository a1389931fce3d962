"""What files contain, by their first bytes: plain content, compressed content, or a backup."""

import bz2
import gzip
import lzma
from enum import Enum, auto
from pathlib import Path
from typing import IO, cast

_LONGEST = 32


class Content(Enum):
    """How a file's content can be read."""

    PLAIN = auto()
    GZIP = auto()
    BZIP2 = auto()
    XZ = auto()
    BACKUP = auto()
    """A backup of ours, encrypted or not: only a restore can erase from it."""
    ARCHIVE = auto()
    """Another archive that cannot be searched."""


_BEGINNINGS = {
    b"rented-numbers encrypted ": Content.BACKUP,
    b"manifest.json\0": Content.BACKUP,
    b"\x1f\x8b": Content.GZIP,
    b"BZh": Content.BZIP2,
    b"\xfd7zXZ\0": Content.XZ,
    b"\x28\xb5\x2f\xfd": Content.ARCHIVE,  # Zstandard
    b"\x04\x22\x4d\x18": Content.ARCHIVE,  # LZ4
    b"PK\x03\x04": Content.ARCHIVE,
    b"7z\xbc\xaf\x27\x1c": Content.ARCHIVE,
}


def kind_of_content(path: Path) -> Content:
    """Returns how a file can be read. Raises OSError."""
    with path.open("rb") as file:
        begins = file.read(_LONGEST)
    return next((kind for beginning, kind in _BEGINNINGS.items() if begins.startswith(beginning)), Content.PLAIN)


def open_content(path: Path) -> IO[bytes]:
    """Opens a file to be read, and decompresses it meanwhile.

    Raises:
        OSError: It cannot be read.
    """
    match kind_of_content(path):
        case Content.GZIP:
            return cast("IO[bytes]", gzip.open(path, "rb"))
        case Content.BZIP2:
            return bz2.open(path, "rb")
        case Content.XZ:
            return lzma.open(path, "rb")
        case _:
            return path.open("rb")
