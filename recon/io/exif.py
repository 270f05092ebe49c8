"""What EXIF says about a photo's camera: facts, a focal length in pixels, and which photos share a camera."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from PIL import ExifTags, Image

_IFD, _BASE = ExifTags.IFD, ExifTags.Base

FULL_FRAME_DIAGONAL_MM = math.hypot(36, 24)
"""35 mm equivalents compare diagonals (CIPA DCG-001), so they hold for any aspect ratio of the sensor."""
_MM_PER_RESOLUTION_UNIT = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}


@dataclass(frozen=True)
class ExifFacts:
    """The tags that matter here; None where absent or senseless."""

    make: str | None = None
    model: str | None = None
    lens: str | None = None
    focal_mm: float | None = None
    focal_35mm: float | None = None
    iso: int | None = None
    exposure_s: float | None = None
    sensor_px_per_mm: float | None = None
    """Pixels per millimetre on the sensor, at the size the camera wrote."""
    written_size: tuple[int, int] | None = None
    """Width and height that the camera wrote, as stored (before the EXIF rotation)."""

    def summary(self) -> dict[str, Any]:
        """The facts of `views.json`, where present."""
        names = ("make", "model", "lens", "focal_mm", "iso", "exposure_s")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


def read_exif(exif: Image.Exif) -> ExifFacts:
    """The facts of an opened image; tags with senseless values count as absent."""
    detail = exif.get_ifd(_IFD.Exif)
    unit = _MM_PER_RESOLUTION_UNIT.get(int(_number(detail.get(_BASE.FocalPlaneResolutionUnit)) or 2))
    resolution = _number(detail.get(_BASE.FocalPlaneXResolution))
    width, height = _number(detail.get(_BASE.ExifImageWidth)), _number(detail.get(_BASE.ExifImageHeight))
    iso = _number(detail.get(_BASE.ISOSpeedRatings))
    return ExifFacts(
        make=_text(exif.get(_BASE.Make)),
        model=_text(exif.get(_BASE.Model)),
        lens=_text(detail.get(_BASE.LensModel)),
        focal_mm=_number(detail.get(_BASE.FocalLength)),
        focal_35mm=_number(detail.get(_BASE.FocalLengthIn35mmFilm)),
        iso=int(iso) if iso else None,
        exposure_s=_number(detail.get(_BASE.ExposureTime)),
        sensor_px_per_mm=resolution / unit if resolution and unit else None,
        written_size=(int(width), int(height)) if width and height else None,
    )


def focal_prior(facts: ExifFacts, width: int, height: int) -> tuple[float, str] | tuple[None, None]:
    """Focal length in pixels of a `width` x `height` photo, and which tags it comes from.

    None where EXIF does not say, where the photo was cropped after it was taken (its shape differs from what
    the camera wrote), or where the value is outside 0.2 to 20 times the long side and so must be wrong.
    """
    scale = 1.0
    if facts.written_size is not None:
        scale = max(width, height) / max(facts.written_size)
        if not math.isclose(min(width, height), min(facts.written_size) * scale, rel_tol=0.02):
            return None, None
    candidates: list[tuple[float, str]] = []
    if facts.focal_35mm is not None:
        candidates.append((facts.focal_35mm / FULL_FRAME_DIAGONAL_MM * math.hypot(width, height), "exif-35mm"))
    if facts.focal_mm is not None and facts.sensor_px_per_mm is not None:
        candidates.append((facts.focal_mm * facts.sensor_px_per_mm * scale, "exif-sensor"))
    for focal_px, source in candidates:
        if 0.2 <= focal_px / max(width, height) <= 20:
            return focal_px, source
    return None, None


def camera_group(facts: ExifFacts, width: int, height: int) -> str:
    """A label that is equal for photos of one camera at one zoom and size, whatever their orientation.

    Photos without EXIF are grouped by size alone.
    """
    camera = " ".join(text for text in (facts.make, facts.model, facts.lens) if text) or "unknown camera"
    focal = f"{facts.focal_mm:.2f} mm" if facts.focal_mm else "unknown focal length"
    equivalent = f" ({facts.focal_35mm:g} mm)" if facts.focal_35mm else ""
    return f"{camera}, {focal}{equivalent}, {max(width, height)}x{min(width, height)}"


def _number(value: Any) -> float | None:
    """A positive finite number, or None: writers put 0, 0/0 and texts where they know nothing."""
    if isinstance(value, tuple):
        value = value[0] if value else None
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def _text(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    printable = "".join(c for c in value.split("\0")[0] if c.isprintable())
    return " ".join(printable.split()) or None
