"""Reads and writes `cameras.json` (docs/artifacts.md): original size, OpenCV axes, half-integer centres."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fewview.recon.errors import InputError
from fewview.recon.io.documents import MALFORMED, read_text
from fewview.recon.scale import Interval, Scale
from fewview.recon.scene import Camera, View

UNITS = ("unknown", "metre")
UNDISTORT = (
    "Undistort the photos first (COLMAP: `colmap image_undistorter`; OpenCV: `cv2.fisheye.undistortImage`) and give "
    "those with their pinhole cameras, or give the photos without cameras."
)
"""What to do with known cameras whose lens no model here describes."""
_FARTHEST = 1e12
"""Beyond, squares overflow in float32."""


@dataclass(frozen=True)
class Verdict:
    """What became of one photo."""

    name: str
    registered: bool
    reason: str | None = None
    """Why the photo could not be placed, or None."""
    observations: int = 0
    """Triangulated points that the photo sees."""
    reprojection_px: float | None = None
    """Mean reprojection error in pixels of the original photo."""
    overlap: float | None = None
    """Share of the photo's textured area in which another photo sees the same points."""
    probability: float | None = None
    """That the place of a registered photo is right; None where it was given."""


@dataclass(frozen=True)
class LensEstimate:
    """What is known of the focal length that some photos share."""

    views: tuple[str, ...]
    focal_px: float
    """Pixels of the originals, as the bounds."""
    low_px: float
    """The true one lies between the bounds with a probability of .9."""
    high_px: float

    @property
    def width(self) -> float:
        """Of the interval, as a share of the focal length."""
        return (self.high_px - self.low_px) / self.focal_px


@dataclass(frozen=True)
class CameraSet:
    """The cameras of a run and how they were found."""

    views: list[View]
    """Registered views, in the order of the photos."""
    units: str = "unknown"
    """`unknown` or `metre`."""
    scale_source: str = "none"
    """What fixed the scale, in words."""
    prior: str = "matching"
    """Where the cameras come from: the kind of their source (`fewview.recon.camera_source`)."""
    verdicts: list[Verdict] = field(default_factory=list)
    """One per photo, in the order of the photos."""
    given: tuple[str, ...] = ()
    """Names of the views whose pose is the user's own and must stay as it is."""
    advice: tuple[str, ...] = ()
    """What to photograph next, in sentences."""
    lenses: tuple[LensEstimate, ...] = ()
    """Of the registered views; empty where nobody asked."""
    scale_interval: Interval | None = None
    """See `Scale.interval`."""

    @property
    def scale(self) -> Scale:
        return Scale(self.units, self.scale_source, self.scale_interval)

    def view(self, name: str) -> View:
        return next(view for view in self.views if view.name == name)


def write_cameras(folder: Path, cameras: CameraSet) -> None:
    """Write `folder/cameras.json`; the same cameras always give the same bytes, and read back exactly."""
    document = {
        "units": cameras.units,
        "scale_source": cameras.scale_source,
        "scale_interval": cameras.scale_interval,
        "prior": cameras.prior,
        "given": list(cameras.given),
        "advice": list(cameras.advice),
        "lenses": [asdict(lens) for lens in cameras.lenses],
        "views": [_view_entry(view) for view in cameras.views],
        "verdicts": [asdict(verdict) for verdict in cameras.verdicts],
    }
    # allow_nan=False: a pose that is not finite is a bug of the caller, and must not reach a file.
    text = json.dumps(document, indent=1, sort_keys=True, allow_nan=False)
    (folder / "cameras.json").write_text(text + "\n", encoding="utf-8")


def read_cameras(folder: Path) -> CameraSet:
    """Read `folder/cameras.json`.

    Raises:
        InputError: the file is missing, is not JSON, or does not hold what the schema asks.
    """
    path = folder / "cameras.json"
    try:
        document = json.loads(read_text(path, "Name a finished `cameras` or `splat` folder."))
        cameras = CameraSet(
            views=[_view(entry) for entry in document["views"]],
            units=document["units"],
            scale_source=document["scale_source"],
            scale_interval=_interval(document.get("scale_interval")),
            prior=document["prior"],
            given=tuple(document["given"]),
            advice=tuple(document["advice"]),
            verdicts=[Verdict(**entry) for entry in document["verdicts"]],
            lenses=tuple(_lens(entry) for entry in document.get("lenses", [])),
        )
        if cameras.units not in UNITS:
            raise ValueError(f"units {cameras.units!r} is none of {', '.join(UNITS)}")
    except KeyError as error:
        raise InputError(f"{path} lacks {error}.", "Write it again with fewview.") from error
    except MALFORMED as error:
        raise InputError(
            f"{path} is not a cameras.json of fewview: {error}.", "Write it again with fewview."
        ) from error
    return cameras


def check_rigid(T: np.ndarray, tolerance: float = 1e-5) -> None:
    """Raise ValueError unless `T` is a finite 4x4 rigid motion."""
    if T.shape != (4, 4) or not np.isfinite(T).all():
        raise ValueError("a pose is not a finite 4x4 matrix")
    if np.abs(T[:3, 3]).max() > _FARTHEST:
        raise ValueError(f"a pose is more than {_FARTHEST:g} units from the origin")
    R = T[:3, :3]
    rigid = np.allclose(R @ R.T, np.eye(3), atol=tolerance) and np.linalg.det(R) > 0
    if not rigid or not np.array_equal(T[3], [0, 0, 0, 1]):
        raise ValueError("a pose is not a rotation and a translation")


def check_intrinsics(camera: Camera, name: str) -> None:
    """Raise ValueError unless a camera can project."""
    if not all(map(math.isfinite, (camera.fx, camera.fy, camera.cx, camera.cy, *camera.distortion))):
        raise ValueError(f"the intrinsics of {name} are not finite")
    if min(camera.fx, camera.fy, camera.width, camera.height) <= 0:
        raise ValueError(f"the size and focal lengths of {name} are not positive")


def canonical_distortion(coefficients: Sequence[float]) -> tuple[float, ...]:
    """(k1, k2, p1, p2[, k3]) as few as say the same: no k3 where it is 0, nothing where all are."""
    padded = (*map(float, coefficients), 0.0, 0.0, 0.0, 0.0, 0.0)[:5]
    if not any(padded):
        return ()
    return padded if padded[4] else padded[:4]


def canonical_fisheye(coefficients: Sequence[float]) -> tuple[float, ...]:
    """(k1, k2, k3, k4) of OpenCV's fisheye model, or nothing where all are 0."""
    padded = (*map(float, coefficients), 0.0, 0.0, 0.0, 0.0)[:4]
    return padded if any(padded) else ()


def _view_entry(view: View) -> dict[str, Any]:
    entry: dict[str, Any] = asdict(view.camera)
    entry["distortion"] = list(view.camera.distortion)
    return {"name": view.name, "world_from_camera": view.T_world_camera.tolist(), **entry}


def _interval(ends: Any) -> Interval | None:
    if ends is None:
        return None
    low, high = map(float, ends)
    if not 0 < low <= high < math.inf:
        raise ValueError(f"the interval of the scale is {low:g} to {high:g}")
    return low, high


def _lens(entry: dict[str, Any]) -> LensEstimate:
    focal, low, high = (float(entry[name]) for name in ("focal_px", "low_px", "high_px"))
    if not 0 < low <= focal <= high < math.inf:
        raise ValueError(f"the bounds of a focal length are {low:g}, {focal:g} and {high:g}")
    return LensEstimate(tuple(map(str, entry["views"])), focal, low, high)


def _view(entry: dict[str, Any]) -> View:
    T = np.array(entry["world_from_camera"], np.float64)
    check_rigid(T)
    camera = Camera(
        width=int(entry["width"]),
        height=int(entry["height"]),
        fx=float(entry["fx"]),
        fy=float(entry["fy"]),
        cx=float(entry["cx"]),
        cy=float(entry["cy"]),
        distortion=tuple(float(value) for value in entry["distortion"]),
        fisheye=bool(entry.get("fisheye", False)),
    )
    check_intrinsics(camera, entry["name"])
    return View(name=str(entry["name"]), camera=camera, T_world_camera=T)
