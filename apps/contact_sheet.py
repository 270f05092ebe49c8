"""All photos of a run on one picture: which were placed, and what became of the others."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from fewview.recon.io.cameras import Verdict, read_cameras
from fewview.recon.photos import load_photos

_TILE_PX = 320
_GAP_PX = 12
_TEXT_PX = 16
_LINES = 3
_LETTERS = 40
"""In a line of a tile."""
_GONE = (176, 32, 32)


def contact_sheet(photos: Path, cameras: Path | None) -> UInt8[np.ndarray, "H W 3"]:
    """A tile each photo, in the order of the photos; one that was left out is grey, with the reason.

    Args:
        photos: the artifact.
        cameras: the artifact; None: they have not been found.
    """
    entries = load_photos(photos, excluded=True)
    verdicts = {verdict.name: verdict for verdict in read_cameras(cameras).verdicts} if cameras else {}
    columns = max(1, math.ceil(math.sqrt(len(entries))))
    rows = -(-len(entries) // columns)
    high = max(math.ceil(_TILE_PX * min(1.0, photo.height / max(photo.width, 1))) for photo in entries)
    step_x, step_y = _TILE_PX + _GAP_PX, high + _GAP_PX + _LINES * _TEXT_PX
    sheet = Image.new("RGB", (columns * step_x + _GAP_PX, rows * step_y + _GAP_PX), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_TEXT_PX - 3)
    for index, photo in enumerate(entries):
        x, y = _GAP_PX + index % columns * step_x, _GAP_PX + index // columns * step_y
        gone, word = _word(photo.excluded, verdicts.get(photo.name))
        if photo.image:
            with Image.open(photos / photo.image) as file:
                tile = file.convert("L" if gone else "RGB").convert("RGB")
            tile.thumbnail((_TILE_PX, _TILE_PX))
            sheet.paste(tile, (x + (_TILE_PX - tile.width) // 2, y + (high - tile.height) // 2))
        for k, line in enumerate([photo.name, *textwrap.wrap(word, _LETTERS)][:_LINES]):
            colour = _GONE if k and gone else "black"
            draw.text((x, y + high + 4 + k * _TEXT_PX), line[:_LETTERS], fill=colour, font=font)
    return np.asarray(sheet)


def _word(excluded: str | None, verdict: Verdict | None) -> tuple[bool, str]:
    """Whether the photo was left out, and what became of it."""
    if excluded is not None:
        return True, f"left out: {excluded}"
    if verdict is None:
        return False, "cameras are not found yet"
    if not verdict.registered:
        return True, f"left out: {verdict.reason}"
    sure = "" if verdict.probability is None else f", right with a probability of {verdict.probability:.2f}"
    return False, f"placed{sure}"
