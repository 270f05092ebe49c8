"""JSON files of Structured3D: read with errors that name the file, written byte for byte the same each time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from fewview.recon.errors import InputError
from fewview.recon.io.documents import MALFORMED, read_text

T = TypeVar("T")


def read_document(path: Path, parse: Callable[[Any], T]) -> T:
    """`parse` of the JSON in `path`.

    Raises:
        InputError: the file is missing, is not JSON, or `parse` does not find what it needs.
    """
    try:
        return parse(json.loads(read_text(path, "Name a folder in Structured3D's format.")))
    except MALFORMED as error:
        raise InputError(
            f"{path} is not in Structured3D's format: {error!r}.", "Download or write it again."
        ) from error


def write_document(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")
