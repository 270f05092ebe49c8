"""The figures of each photo, as columns of a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fewview.apps.reporting import formats
from fewview.apps.results import PhotoResult


@dataclass(frozen=True)
class Column:
    title: str
    meaning: str
    cells: tuple[str, ...]
    """One a photo."""


def columns(photos: Sequence[PhotoResult]) -> list[Column]:
    """Those in which any photo has a figure."""
    found = [Column(title, meaning, tuple(cell(photo) for photo in photos)) for title, meaning, cell in _COLUMNS]
    return [column for column in found if any(cell != formats.NOTHING for cell in column.cells)]


def _points(photo: PhotoResult) -> str:
    return str(photo.observations) if photo.observations else formats.NOTHING


def _error(photo: PhotoResult) -> str:
    return formats.with_unit(photo.reprojection_px, "px", 2)


def _field_of_view(photo: PhotoResult) -> str:
    return formats.NOTHING if photo.field_of_view_deg is None else f"{photo.field_of_view_deg:.0f}°"


def _render(photo: PhotoResult) -> str:
    return formats.with_unit(photo.psnr_db, "dB", 1) + (" (kept out)" if photo.held_out else "")


_COLUMNS: tuple[tuple[str, str, Callable[[PhotoResult], str]], ...] = (
    (
        "Placed rightly",
        "probability that it is, to 2 degrees, and to 5 in direction",
        lambda photo: formats.share(photo.probability),
    ),
    (
        "Seen by others",
        "share of the textured area in which another photo sees the same points",
        lambda photo: formats.share(photo.overlap),
    ),
    ("Points", "how many were found in it and in other photos", _points),
    ("Off by", "mean distance of the points from where they should be, in pixels of the original", _error),
    ("Angle of view", "of the lens, along the long side; less where a photo was zoomed or cropped", _field_of_view),
    (
        "Depth confirmed",
        "share of pixels whose depth another photo confirms",
        lambda photo: formats.share(photo.depth_verified),
    ),
    ("Render", "PSNR of the splats seen from the photo's place; above 25 dB they look much like it", _render),
)
