"""The scale of the world, from one length that the user knows, and how sure it is."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from fewview.recon.errors import InputError
from fewview.recon.scale import PICK_PX
from fewview.recon.scene import View
from fewview.recon.sfm.lens import ideal, to_ideal

MODEL_NOISE = 0.007
"""Standard deviation of the logarithm of a length in a model of few photos, against other lengths in it. (the median
error of .4 degrees of the directions between cameras of real sets, docs/figures.md)"""
_FORM = "Write A.jpg:B.jpg=METRES, or for each end a point picked in two photos: A.jpg@X,Y+B.jpg@X,Y."
_NUMBER = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)"
_PICK = re.compile(rf"(?P<name>.+?)@(?P<x>{_NUMBER}),(?P<y>{_NUMBER})(?:\+(?=.)|$)", re.DOTALL)
_PICKED = re.compile(r"@[0-9.]+,[0-9.]+(?=[+:]|$)")
"""No name may hold this: all else that a file may be called can be told apart."""
_TAPE_M = 0.003
"""Standard deviation of a length that the user measured between two points. (assumed: a folding rule)"""
_CENTRE_M = 0.02
"""Standard deviation of where a camera was, for who measures between two of them. (assumed: a lens is so far from the
middle of a hand)"""
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

    readings: tuple[tuple[End, End], ...]
    """Both ends; several ways to read them where names hold colons, of which the photos' names tell the right one."""
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
    splits = [(ends[:at], ends[at + 1 :]) for at in range(1, len(ends) - 1) if ends[at] == ":"]
    if not splits or not (math.isfinite(metres) and metres > 0):
        raise InputError(f"--scale {text} is no known length.", _FORM)
    readings = tuple((first, second) for a, b in splits if (first := _end(a)) and (second := _end(b)))
    if not readings:
        wrong = next(part for part in splits[0] if _end(part) is None)
        raise InputError(f"--scale {text} does not pick a point: {wrong}.", _FORM)
    return KnownLength(readings, metres, text)


def metres_per_unit(length: KnownLength, views: Sequence[View]) -> float:
    """How many metres a scene unit is.

    Raises:
        InputError: see `known_scale`.
    """
    return known_scale(length, views)[0]


def known_scale(length: KnownLength, views: Sequence[View]) -> tuple[float, float]:
    """How many metres a scene unit is, and the standard deviation of its logarithm: of the user's measuring and
    picking, and of lengths in a model of few photos.

    Raises:
        InputError: a photo is not among the views, the two ends coincide, the pixels picked for a point do not
            show one point, or the names can be read in two ways.
    """
    by_name = {view.name: view for view in views}
    missing = [[name for end in ends for name in _names(end) if name not in by_name] for ends in length.readings]
    if all(missing):
        raise InputError(
            f"--scale {length.text} names {min(missing, key=len)[0]}, which was not placed.",
            f"Use placed photos: {', '.join(by_name)}.",
        )
    fitting = [ends for ends, lacks in zip(length.readings, missing, strict=True) if not lacks]
    if len(fitting) > 1:
        ways = " or ".join(" and ".join(_names(end)[0] for end in ends) for ends in fitting)
        raise InputError(
            f"--scale {length.text} can be read in {len(fitting)} ways: {ways}.", "Rename photos with a colon."
        )
    (first, spread), (second, other_spread) = (_position(end, by_name, length.text) for end in fitting[0])
    distance = float(np.linalg.norm(first - second))
    centers = np.array([view.center for view in views])
    extent = float(np.linalg.norm(centers - centers.mean(axis=0), axis=1).max())
    if distance <= 1e-6 * extent:
        raise InputError(f"The two ends of --scale {length.text} are in one place.", "Choose two that are apart.")
    along = (first - second) / distance
    measured = [_CENTRE_M if end.photo else _TAPE_M for end in fitting[0]]
    picked = math.sqrt(float(along @ (spread + other_spread) @ along)) / distance
    return length.metres / distance, math.hypot(picked, *(each / length.metres for each in measured), MODEL_NOISE)


def _end(part: str) -> End | None:
    """A photo or a picked point; None where it is neither."""
    if not _PICKED.search(part):
        return End(part)
    found = list(_PICK.finditer(part))
    whole = "".join(pick[0] for pick in found) == part
    if len(found) < 2 or not whole or any(_PICKED.search(pick["name"]) for pick in found):
        return None
    return End("", tuple((pick["name"], float(pick["x"]), float(pick["y"])) for pick in found))


def _names(end: End) -> list[str]:
    return [end.photo] if end.photo else [name for name, _, _ in end.pixels]


def _position(
    end: End, by_name: Mapping[str, View], text: str
) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, "3 3"]]:
    """World position and its covariance by the picks; a picked point is where its rays pass each other most closely."""
    if end.photo:
        return by_name[end.photo].center, np.zeros((3, 3))
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
    told = np.zeros((3, 3))
    for (name, x, y), center, ray in zip(end.pixels, centers, rays, strict=True):
        towards = point - center
        view = by_name[name]
        miss = np.linalg.norm(np.cross(ray, towards)) / max(float(ray @ towards), 1e-12)
        if rank < 3 or miss * view.camera.fx > _MAX_MISS * max(view.camera.width, view.camera.height):
            raise InputError(
                f"The pixels of --scale {text} do not show one point: {name}@{x:g},{y:g} looks past it.",
                "Pick a corner that is sharp in both photos, seen from places that are well apart.",
            )
        click = PICK_PX * max(view.camera.width, view.camera.height) / 1000 / view.camera.fx
        told += (np.eye(3) - np.outer(ray, ray)) / (click * float(ray @ towards)) ** 2
    return point, np.linalg.pinv(told)
