"""From a refined model to the views and points of the artifact (docs/artifacts.md)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fewview.recon.geometry.pose import invert_rigid
from fewview.recon.io.colmap import SparsePoints
from fewview.recon.photos import Photo
from fewview.recon.scene import Camera, View
from fewview.recon.sfm.graph import MatchGraph
from fewview.recon.sfm.lens import from_ideal
from fewview.recon.sfm.mapping import Candidate, Sensors


def make_views(model: Candidate, sensors: Sensors, graph: MatchGraph, given: Mapping[int, Camera]) -> list[View]:
    """The registered photos' cameras at the original size; given intrinsics as they were given."""
    bundle, views = model.bundle, []
    for k, i in enumerate(model.photos):
        photo, scale = graph.photos[i], sensors.scale[i]
        focal = float(np.exp(bundle.log_focal[bundle.lens[k]]) / scale)
        cx, cy = (float(value) for value in bundle.principal[bundle.sensor[k]] / scale)
        k1 = float(bundle.k1[bundle.lens[k]])
        fisheye = bool(bundle.fisheye[bundle.lens[k]])
        distortion = (k1, 0.0, 0.0, 0.0) if k1 else ()
        found = Camera(photo.width, photo.height, focal, focal, cx, cy, distortion, fisheye)
        T = np.eye(4)
        T[:3, :3], T[:3, 3] = bundle.R[k], bundle.t[k]
        views.append(View(photo.name, given.get(i, found), invert_rigid(T)))
    return views


def make_points(
    model: Candidate, sensors: Sensors, graph: MatchGraph, given: Mapping[int, Camera], folder: Path
) -> SparsePoints:
    """The triangulated points, coloured from the photos in `folder`."""
    bundle = model.bundle
    scale = sensors.scale[model.photos][bundle.image]
    xy = bundle.xy / scale[:, None]
    errors = bundle.errors_px() / scale
    count = np.bincount(bundle.point, minlength=len(bundle.points))
    colors = np.zeros((len(xy), 3))
    for k, i in enumerate(model.photos):
        seen = bundle.image == k
        if i in given:
            xy[seen] = from_ideal(xy[seen], given[i])
        colors[seen] = _colors(graph.photos[i], folder, xy[seen])
    rgb = [np.bincount(bundle.point, colors[:, c], minlength=len(bundle.points)) / count for c in range(3)]
    tracks: list[list[tuple[int, np.ndarray]]] = [[] for _ in bundle.points]
    for k, point, position in zip(bundle.image, bundle.point, xy, strict=True):
        tracks[point].append((int(k), position))
    return SparsePoints(
        xyz=bundle.points,
        rgb=np.stack(rgb, axis=1).round().astype(np.uint8),
        error_px=np.bincount(bundle.point, errors, minlength=len(bundle.points)) / count,
        tracks=tracks,
    )


def _colors(photo: Photo, folder: Path, xy: np.ndarray) -> UInt8[np.ndarray, "N 3"]:
    """Colours of the working image at pixels of the original."""
    image = photo.load_image8(folder)
    height, width = image.shape[:2]
    x = np.clip((xy[:, 0] * width / photo.width).astype(int), 0, width - 1)
    y = np.clip((xy[:, 1] * height / photo.height).astype(int), 0, height - 1)
    return image[y, x]
