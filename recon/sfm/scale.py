"""The scale of the world, from one length that the user knows."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from recon.errors import InputError
from recon.scene import View
from recon.sfm.lens import ideal, to_ideal

_FORM = "Write A.jpg:B.jpg=METRES, or for each end a point picked in two photos: A.jpg@X,Y+B.jpg@X,Y."
_PIXEL = re.compile(r"(?P<name>.+)@(?P<x>[0-9.]+),(?P<y>[0-9.]+)")
_MAX_MISS = 0.02
"""How far, in long sides, a picked pixel may lie from the point that its picks have in common."""


@dataclass(frozen=True)
class End:
    """A camera centre, or a point picked in several photos."""

    photo: str
    """Whose centre it is; empty for a picked point."""
    pixels: tuple[tuple[str, float, float], ...] = ()
    """Photo, x, y in pixels of the upright original."""


@dataclass(frozen=True)
class KnownLength:
    """A distance in metres between two ends."""

    ends: tuple[End, End]
    metres: float
    text: str
    """As the user wrote it."""


def parse_length(text: str) -> KnownLength:
    """What `--scale` says.

    Raises:
        InputError: it is not of the form that `_FORM` tells.
    """
    ends, _, length = text.rpartition("=")
    try:
        metres = float(length)
    except ValueError:
        metres = math.nan
    parts = ends.split(":")
    if len(parts) != 2 or not all(parts) or not (math.isfinite(metres) and metres > 0):
        raise InputError(f"--scale {text} is no known length.", _FORM)
    first, second = (_end(part, text) for part in parts)
    return KnownLength((first, second), metres, text)


def metres_per_unit(length: KnownLength, views: Sequence[View]) -> float:
    """How many metres a scene unit is.

    Raises:
        InputError: a photo is not among the views, the two ends coincide, or the pixels picked for a point do
            not show one point.
    """
    by_name = {view.name: view for view in views}
    for end in length.ends:
        for name in [end.photo] if end.photo else [name for name, _, _ in end.pixels]:
            if name not in by_name:
                raise InputError(
                    f"--scale {length.text} names {name}, which was not placed.",
                    f"Use placed photos: {', '.join(by_name)}.",
                )
    first, second = (_position(end, by_name, length.text) for end in length.ends)
    distance = float(np.linalg.norm(first - second))
    centers = np.array([view.center for view in views])
    extent = float(np.linalg.norm(centers - centers.mean(axis=0), axis=1).max())
    if distance <= 1e-6 * extent:
        raise InputError(f"The two ends of --scale {length.text} are in one place.", "Choose two that are apart.")
    return length.metres / distance


def _end(part: str, text: str) -> End:
    picks = part.split("+")
    if len(picks) == 1 and "@" not in part:
        return End(part)
    matched = [_PIXEL.fullmatch(pick) for pick in picks]
    if len(picks) < 2 or None in matched:
        raise InputError(f"--scale {text} does not pick a point: {part}.", _FORM)
    return End("", tuple((m["name"], float(m["x"]), float(m["y"])) for m in matched if m))


def _position(end: End, by_name: Mapping[str, View], text: str) -> Float[np.ndarray, " 3"]:
    """World position; a picked point is where its rays pass each other most closely."""
    if end.photo:
        return by_name[end.photo].center
    centers, rays = [], []
    for name, x, y in end.pixels:
        view = by_name[name]
        pinhole = ideal(view.camera)
        u, v = to_ideal(np.array([[x, y]]), view.camera)[0]
        ray = view.T_world_camera[:3, :3] @ [(u - pinhole.cx) / pinhole.fx, (v - pinhole.cy) / pinhole.fx, 1.0]
        centers.append(view.center)
        rays.append(ray / np.linalg.norm(ray))
    across = [np.eye(3) - np.outer(ray, ray) for ray in rays]
    point, _, rank, _ = np.linalg.lstsq(
        np.sum(across, axis=0), np.sum([A @ c for A, c in zip(across, centers, strict=True)], axis=0), rcond=1e-9
    )
    for (name, x, y), center, ray in zip(end.pixels, centers, rays, strict=True):
        towards = point - center
        view = by_name[name]
        miss = np.linalg.norm(np.cross(ray, towards)) / max(float(ray @ towards), 1e-12)
        if rank < 3 or miss * view.camera.fx > _MAX_MISS * max(view.camera.width, view.camera.height):
            raise InputError(
                f"The pixels of --scale {text} do not show one point: {name}@{x:g},{y:g} looks past it.",
                "Pick a corner that is sharp in both photos, seen from places that are well apart.",
            )
    return point
