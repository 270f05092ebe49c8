"""Image sizes as the user gives them: in words, or by a cameras file of which nothing else is read."""

from __future__ import annotations

import json
import re
from pathlib import Path

from fewview.recon.errors import InputError
from fewview.recon.io.documents import MALFORMED, read_text


def parse_size(text: str) -> tuple[int, int]:
    """Width and height of "1920x1080".

    Raises:
        InputError: not of this form.
    """
    match = re.fullmatch(r"(\d+)x(\d+)", text.strip().lower())
    if match is None or not (int(match[1]) and int(match[2])):
        raise InputError(f"--sizes {text} is not WIDTHxHEIGHT.", "Give pixels, such as 1920x1080.")
    return int(match[1]), int(match[2])


def read_sizes(path: Path) -> dict[str, tuple[int, int]]:
    """Image size by camera name, in the order of the file. Its parameters are not looked at.

    Takes a list of `name`, `size`, or our cameras.json (`views` of `name`, `width`, `height`).

    Raises:
        InputError: no such file, or it does not hold names and sizes.
    """
    try:
        document = json.loads(read_text(path, "Check --sizes-from."))
        entries = document["views"] if isinstance(document, dict) else document
        sizes = {
            str(entry["name"]): (int(entry["size"][0]), int(entry["size"][1]))
            if "size" in entry
            else (int(entry["width"]), int(entry["height"]))
            for entry in entries
        }
    except MALFORMED as error:
        raise InputError(
            f"{path} does not say image sizes ({type(error).__name__}: {error}).",
            "It needs a list of `name` and `size`, or `views` with `name`, `width` and `height`.",
        ) from error
    if not sizes or min(min(size) for size in sizes.values()) < 1:
        raise InputError(f"{path} holds no image sizes.", "Check --sizes-from.")
    return sizes
