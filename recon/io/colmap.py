"""Reads and writes COLMAP models, binary or text, through pycolmap.

COLMAP's conventions are ours: OpenCV axes, pixel centres at half-integers. Poses are stored world to camera.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pycolmap
from jaxtyping import Float, UInt8

from fewview.recon.errors import InputError
from fewview.recon.geometry.pose import invert_rigid
from fewview.recon.io.cameras import (
    UNDISTORT,
    CameraSet,
    canonical_distortion,
    canonical_fisheye,
    check_intrinsics,
    check_rigid,
    write_cameras,
)
from fewview.recon.io.colmap_files import check_binary
from fewview.recon.io.documents import MALFORMED
from fewview.recon.io.transforms import write_transforms
from fewview.recon.scene import Camera, View

Track = list[tuple[int, Float[np.ndarray, " 2"]]]
"""Who sees a point: index of the view, and where, in pixels of the distorted original."""

_ONE_FOCAL = ("SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE")
_MODELS = (
    "SIMPLE_PINHOLE, PINHOLE, SIMPLE_RADIAL, RADIAL, OPENCV, FULL_OPENCV without its k4 to k6, SIMPLE_RADIAL_FISHEYE, "
    "RADIAL_FISHEYE and OPENCV_FISHEYE"
)


@dataclass(frozen=True)
class SparsePoints:
    """Triangulated points."""

    xyz: Float[np.ndarray, "N 3"]
    """World, scene units, float64."""
    rgb: UInt8[np.ndarray, "N 3"]
    error_px: Float[np.ndarray, " N"]
    """Mean reprojection error in pixels of the originals, float64."""
    tracks: list[Track]
    """One per point."""

    def __post_init__(self) -> None:
        count = len(self.tracks)
        assert self.xyz.shape == self.rgb.shape == (count, 3), (self.xyz.shape, self.rgb.shape, count)
        assert self.error_px.shape == (count,), (self.error_px.shape, count)


def write_camera_exports(folder: Path, cameras: CameraSet, points: SparsePoints) -> None:
    """Write `cameras.json`, `sparse/0` and `transforms.json` into `folder` (docs/artifacts.md).

    The views of `points` count along `cameras.views`.
    """
    write_cameras(folder, cameras)
    model = folder / "sparse" / "0"
    model.mkdir(parents=True, exist_ok=True)
    write_model(model, cameras.views, points)
    write_transforms(folder / "transforms.json", cameras.views)


def write_model(
    folder: Path, views: list[View], points: SparsePoints, file_format: Literal["binary", "text"] = "binary"
) -> None:
    """Write a COLMAP model into an existing folder; views with equal intrinsics share one COLMAP camera.

    The same model always gives the same bytes.

    Raises:
        InputError: the text format is asked for, and a view's name holds a space, where COLMAP cuts it off.
    """
    for view in views:
        if file_format == "text" and " " in view.name:
            raise InputError(
                f"COLMAP's text format cannot hold the name `{view.name}`, which has a space.",
                "Write the binary format, or rename the photo.",
            )
    model = pycolmap.Reconstruction()
    ids: dict[Camera, int] = {}
    for view in views:
        if view.camera not in ids:
            ids[view.camera] = len(ids) + 1
            model.add_camera_with_trivial_rig(_to_colmap(view.camera, ids[view.camera]))
    keypoints: list[list[Float[np.ndarray, " 2"]]] = [[] for _ in views]
    colmap_tracks = []
    for track in points.tracks:
        elements = []
        for view_index, xy in track:
            elements.append(pycolmap.TrackElement(view_index + 1, len(keypoints[view_index])))
            keypoints[view_index].append(np.asarray(xy, np.float64))
        colmap_tracks.append(pycolmap.Track(elements))
    for index, view in enumerate(views):
        xy = np.array(keypoints[index], np.float64).reshape(-1, 2)
        image = pycolmap.Image(view.name, xy, ids[view.camera], index + 1)
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(view.T_camera_world[:3]))
    for xyz, colmap_track, rgb, error in zip(points.xyz, colmap_tracks, points.rgb, points.error_px, strict=True):
        point = model.add_point3D(xyz, colmap_track, rgb)
        model.point3D(point).error = error
    (model.write_binary if file_format == "binary" else model.write_text)(folder)


def read_model(folder: Path) -> tuple[list[View], SparsePoints]:
    """Read a COLMAP model, binary or text, of any COLMAP version.

    Returns:
        The registered views in the order of their COLMAP ids, and the points in the order of theirs.

    Raises:
        InputError: no readable model, or a camera model that is not one of `_MODELS`.
    """
    if not any((folder / f"cameras{suffix}").is_file() for suffix in (".bin", ".txt")):
        raise InputError(f"There is no COLMAP model in {folder}.", "Name the folder with cameras.bin or cameras.txt.")
    try:
        check_binary(folder)
        return _converted(pycolmap.Reconstruction(folder), folder)
    except (*MALFORMED, OSError, RuntimeError, MemoryError) as error:
        raise InputError(f"The COLMAP model in {folder} cannot be read: {error}.", "Export it again.") from error


def _converted(model: pycolmap.Reconstruction, folder: Path) -> tuple[list[View], SparsePoints]:
    image_ids = sorted(model.reg_image_ids())
    views = []
    for image_id in image_ids:
        image = model.image(image_id)
        T = np.eye(4)
        T[:3] = image.cam_from_world().matrix()
        check_rigid(T)
        camera = _from_colmap(model.camera(image.camera_id), folder)
        check_intrinsics(camera, image.name)
        views.append(View(image.name, camera, invert_rigid(T)))
    index = {image_id: i for i, image_id in enumerate(image_ids)}
    points = [model.point3D(point_id) for point_id in sorted(model.point3D_ids())]
    tracks = []
    for point in points:
        seen = [(index[e.image_id], e.image_id, e.point2D_idx) for e in point.track.elements if e.image_id in index]
        tracks.append([(i, np.array(model.image(image_id).point2D(k).xy)) for i, image_id, k in seen])
    xyz = np.array([point.xyz for point in points], np.float64).reshape(-1, 3)
    if not np.isfinite(xyz).all():
        raise ValueError("a point is not finite")
    return views, SparsePoints(
        xyz=xyz,
        rgb=np.array([point.color for point in points], np.uint8).reshape(-1, 3),
        error_px=np.array([point.error for point in points], np.float64),
        tracks=tracks,
    )


def _to_colmap(camera: Camera, camera_id: int) -> pycolmap.Camera:
    """The simplest of PINHOLE, OPENCV and FULL_OPENCV, which other programs read most widely; or OPENCV_FISHEYE."""
    params = [camera.fx, camera.fy, camera.cx, camera.cy]
    model = "PINHOLE"
    if camera.fisheye:
        model = "OPENCV_FISHEYE"
        params += [*camera.distortion, 0.0, 0.0, 0.0, 0.0][:4]
    elif not camera.is_pinhole:
        coefficients = [*camera.distortion, 0.0][:5]
        model = "FULL_OPENCV" if coefficients[4] else "OPENCV"
        params += [*coefficients, 0.0, 0.0, 0.0] if coefficients[4] else coefficients[:4]
    return pycolmap.Camera(camera_id=camera_id, model=model, width=camera.width, height=camera.height, params=params)


def _from_colmap(camera: pycolmap.Camera, folder: Path) -> Camera:
    model, params = camera.model_name, [float(value) for value in camera.params]
    fisheye = model.endswith("_FISHEYE")
    if model in _ONE_FOCAL:
        params.insert(0, params[0])
    elif model not in ("PINHOLE", "OPENCV", "FULL_OPENCV", "OPENCV_FISHEYE"):
        raise InputError(f"The COLMAP model in {folder} has a {model} camera; fewview reads {_MODELS}.", UNDISTORT)
    fx, fy, cx, cy, *coefficients = params
    if fisheye:
        return Camera(camera.width, camera.height, fx, fy, cx, cy, canonical_fisheye(coefficients), fisheye)
    if any(coefficients[5:]):
        raise InputError(
            f"The COLMAP model in {folder} has a camera with rational terms; fewview reads {_MODELS}.", UNDISTORT
        )
    distortion = canonical_distortion(coefficients)
    return Camera(camera.width, camera.height, fx, fy, cx, cy, distortion)
