"""Opens files that people and other programs write: text, and arrays in npz."""

from __future__ import annotations

import io
import lzma
import math
import os
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from fewview.recon.errors import InputError

MALFORMED = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
"""What taking values out of a document raises where it holds others than it should: lists for numbers, numbers like
1e999, nesting without end."""

_DAMAGED = (
    OSError,
    SyntaxError,
    tokenize.TokenError,
    EOFError,
    RuntimeError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    MemoryError,
)
_INFLATION = 1040
"""No deflated stream grows by more."""


def read_text(path: Path, remedy: str = "Check the path.", errors: str = "strict") -> str:
    """A text file in UTF-8.

    Args:
        remedy: what to do where there is no such file.
        errors: what becomes of other bytes, as of `open`.

    Raises:
        InputError: there is no such file (pipes, which may never end, are none), or it may not be read.
        ValueError: it is not UTF-8.
    """
    try:
        if path.is_file():
            return path.read_text(encoding="utf-8", errors=errors)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from error
    raise InputError(f"There is no {path}.", remedy)


def finite(value: Any) -> float:
    """A number out of a document.

    Raises:
        TypeError: it is none.
        ValueError: it is NaN or infinite.
    """
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{number} stands where a number should")
    return number


def read_npz(path: Path, remedy: str) -> dict[str, np.ndarray]:
    """All arrays of an npz, without objects.

    Args:
        remedy: what to do where it is none.

    Raises:
        InputError: there is no such file, it is damaged, or arrays announce more than it can hold.
    """
    if not os.path.isfile(path):  # unlike Path's own, of names that are too long as well
        raise InputError(f"There is no {path}.", remedy)
    try:
        with zipfile.ZipFile(path) as archive:
            return {entry.filename.removesuffix(".npy"): _array(archive, entry) for entry in archive.infolist()}
    except (*MALFORMED, *_DAMAGED) as error:
        raise InputError(f"{path} is not a readable npz file: {error}.", remedy) from error


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    if entry.file_size > _INFLATION * (entry.compress_size + 1):
        raise ValueError(f"{entry.filename} announces more than the file holds")
    array: np.ndarray = np.lib.format.read_array(io.BytesIO(archive.read(entry)), allow_pickle=False)
    if array.dtype.kind not in "biufUS":
        raise ValueError(f"{entry.filename} holds neither numbers nor text")
    return array
