"""The `pointmaps/` artifact as mapping sees it: poses that are nearly right, and ties where matches are too few."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from recon.io.cameras import read_cameras
from recon.scene import Camera, View
from recon.sfm.bundle import Bundle
from recon.sfm.evidence import agreements
from recon.sfm.graph import MatchGraph, Pair
from recon.sfm.lens import to_ideal
from recon.sfm.mapping import Candidate, Sensors
from recon.sfm.near import Deviations, Near

DEVIATIONS = Deviations(rotation_deg=1.5, center=0.05)
"""Networks place photos to a degree or two."""
TOLERANCES_PX = (50.0, 12.0)
_ENOUGH = 30
"""Certain matches from which a photo needs no ties by its pointmap."""
_MOST_TIES = 60
"""Between two photos: they stand in for matches where there are none, and must not outweigh them elsewhere."""
_LEAST_TIES = 12
_SAME_SURFACE = 0.05
"""Relative difference of the depths up to which two maps show one surface."""


@dataclass(frozen=True)
class SeenMap:
    """A photo's camera as its pointmap has it, and the depth of a grid of its pixels."""

    view: View
    depth: Float[np.ndarray, "H W"]
    """NaN = unknown."""
    x: Float[np.ndarray, " W"]
    """Pixels of the upright original."""
    y: Float[np.ndarray, " H"]

    def points(self) -> tuple[Float[np.ndarray, "N 3"], Float[np.ndarray, "N 2"]]:
        """World points and pixels of what is known."""
        camera, T = self.view.camera, self.view.T_world_camera
        known = np.isfinite(self.depth)
        xy = np.stack(np.meshgrid(self.x, self.y), axis=-1)[known]
        local = np.column_stack([(xy - [camera.cx, camera.cy]) / [camera.fx, camera.fy], np.ones(len(xy))])
        return (self.depth[known][:, None] * local) @ T[:3, :3].T + T[:3, 3], xy

    def see(self, points: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 2"]:
        """Pixels of world points that this photo shows too; NaN for others."""
        camera, T = self.view.camera, self.view.T_camera_world
        X = points @ T[:3, :3].T + T[:3, 3]
        z = np.where(X[:, 2] > 0, X[:, 2], np.nan)
        xy = X[:, :2] / z[:, None] * [camera.fx, camera.fy] + [camera.cx, camera.cy]
        cells = []
        inside = np.isfinite(z)
        for axis, at in ((xy[:, 0], self.x), (xy[:, 1], self.y)):
            step = (at[-1] - at[0]) / max(len(at) - 1, 1)
            cell = np.rint(np.nan_to_num((axis - at[0]) / max(step, 1e-9), nan=-1))
            inside &= (cell >= 0) & (cell < len(at))
            cells.append(np.clip(cell, 0, len(at) - 1).astype(int))
        inside &= np.abs(self.depth[cells[1], cells[0]] / z - 1) < _SAME_SURFACE
        return np.where(inside[:, None], xy, np.nan)


@dataclass(frozen=True)
class Pointmaps:
    """By photo."""

    maps: dict[int, SeenMap]
    units: str
    scale_source: str


def load_pointmaps(folder: Path, graph: MatchGraph) -> Pointmaps:
    cameras = read_cameras(folder)
    views = {view.name: view for view in cameras.views}
    maps = {}
    for i, photo in enumerate(graph.photos):
        if photo.name in views:
            with np.load(folder / f"{photo.key}.npz") as file:
                depth, x, y = (file[name].astype(np.float64) for name in ("depth", "x", "y"))
            maps[i] = SeenMap(views[photo.name], depth, x, y)
    return Pointmaps(maps, cameras.units, cameras.scale_source)


def tied(graph: MatchGraph, maps: Mapping[int, SeenMap], given: Mapping[int, Camera]) -> MatchGraph:
    """The graph with what pointmaps share, for photos that matches tie to too little: sparse points come of it.

    Args:
        given: known intrinsics, by photo: keypoints of these photos are those of `recon.sfm.lens.ideal`.
    """
    certain = {
        i: sum(len(pair.matches) for pair, other in graph.partners(i) if pair.trusted and other in maps) for i in maps
    }
    keypoints, pairs = list(graph.keypoints), {(pair.a, pair.b): pair for pair in graph.pairs}
    for i in sorted(maps):
        for j in sorted(maps):
            if i >= j or min(certain[i], certain[j]) >= _ENOUGH:
                continue
            mine, other = _shared(maps[i], maps[j])
            if len(mine) < _LEAST_TIES:
                continue
            mine, other = (to_ideal(xy, given[k]) if k in given else xy for xy, k in ((mine, i), (other, j)))
            numbers = np.arange(len(mine))
            matches = np.column_stack([len(keypoints[i]) + numbers, len(keypoints[j]) + numbers])
            keypoints[i], keypoints[j] = np.concatenate([keypoints[i], mine]), np.concatenate([keypoints[j], other])
            pairs[i, j] = Pair(
                i, j, len(mine), matches, np.ones(len(mine)), "general", None, trusted=True, sure=0.0
            )  # fmt: skip
    return replace(graph, keypoints=keypoints, pairs=list(pairs.values()))


def near_pointmaps(
    seen: Pointmaps, sensors: Sensors, focals: Mapping[int, float], guess: Float[np.ndarray, " L"]
) -> Near:
    """Their poses; the focal length of a lens is the recorded one, else the median of its photos' pointmaps.

    Args:
        focals: recorded or given focal lengths in working pixels, by lens.
        guess: of all lenses, for those that have no pointmap either.
    """
    by_lens: dict[int, list[float]] = {}
    for i, each in seen.maps.items():
        by_lens.setdefault(int(sensors.lens[i]), []).append(each.view.camera.fx * float(sensors.scale[i]))
    believed = {lens: float(np.median(found)) for lens, found in by_lens.items()} | dict(focals)
    start = np.array([believed.get(lens, guess[lens]) for lens in range(len(guess))])
    poses = {i: each.view.T_world_camera for i, each in seen.maps.items()}
    return Near("the pointmaps", poses, believed, start, TOLERANCES_PX, DEVIATIONS)


def believed_pairs(graph: MatchGraph, sensors: Sensors, near: Near) -> MatchGraph:
    """Only with pairs that are certain, or that are because they agree with the poses, which do not rest on them."""
    photos = sorted(near.poses)
    T = np.linalg.inv(np.array([near.poses[i] for i in photos]))
    used, lens = np.unique(sensors.lens[photos], return_inverse=True)
    kinds, sensor = np.unique(sensors.sensor[photos], return_inverse=True)
    none = np.zeros(0, int)
    bundle = Bundle(
        T[:, :3, :3], T[:, :3, 3], np.log(near.guess[used]), np.zeros(len(used)), sensors.size[kinds] / 2,
        np.zeros((0, 3)), lens, sensor, none, none, np.zeros((0, 2)), np.zeros(len(photos), bool),
    )  # fmt: skip
    posed = Candidate(near.start, photos, bundle)
    fitting = {
        (one.pair.a, one.pair.b) for one in agreements(posed, graph, sensors, near.tolerances_px[0]) if one.supports
    }
    pairs = [pair for pair in graph.pairs if pair.trusted or (pair.a, pair.b) in fitting]
    return replace(graph, pairs=[replace(pair, trusted=True) for pair in pairs])


def _shared(one: SeenMap, other: SeenMap) -> tuple[Float[np.ndarray, "N 2"], Float[np.ndarray, "N 2"]]:
    """Pixels of both photos, spread evenly over what both show."""
    points, xy = one.points()
    there = other.see(points)
    common = np.flatnonzero(np.isfinite(there).all(axis=1))
    chosen = common[np.linspace(0, len(common) - 1, min(len(common), _MOST_TIES)).astype(int)]
    return xy[chosen], there[chosen]
