"""The `pointmaps/` artifact as mapping sees it: poses that are nearly right, and points where matches are too few."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from fewview.recon.geometry.pose import invert_rigid
from fewview.recon.io.cameras import read_cameras
from fewview.recon.pointmaps.artifact import StoredPointmap
from fewview.recon.scale import Scale
from fewview.recon.scene import Camera, View
from fewview.recon.sfm.belief import WEIGHTS
from fewview.recon.sfm.bundle import Bundle
from fewview.recon.sfm.evidence import agreements
from fewview.recon.sfm.graph import MatchGraph
from fewview.recon.sfm.lens import to_ideal
from fewview.recon.sfm.mapping import Candidate, Sensors
from fewview.recon.sfm.near import Deviations, Near

DEVIATIONS = Deviations(rotation_deg=1.5, center=0.05)
"""Networks place photos to a degree or two."""
TOLERANCES_PX = (50.0, 12.0)
_ENOUGH = 30
"""Matches that are likely right with which a photo needs no points of its pointmap."""
_POINTS = 200
"""That a photo without matches gets, at most."""
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

    def shows(self, xy: Float[np.ndarray, "N 2"], z: Float[np.ndarray, " N"]) -> Bool[np.ndarray, " N"]:
        """Whether the surface at these pixels of the original is that far away."""
        there = (z > 0) & np.isfinite(xy).all(axis=1)
        cells = []
        for at, centres in zip(xy.T, (self.x, self.y), strict=True):
            step = (centres[-1] - centres[0]) / max(len(centres) - 1, 1)
            cell = np.rint((np.where(there, at, -1e6) - centres[0]) / max(step, 1e-9))
            there &= (cell >= 0) & (cell < len(centres))
            cells.append(np.where(there, cell, 0).astype(int))
        with np.errstate(divide="ignore"):
            return there & (np.abs(self.depth[cells[1], cells[0]] / z - 1) < _SAME_SURFACE)


@dataclass(frozen=True)
class Pointmaps:
    """By photo."""

    maps: dict[int, SeenMap]
    scale: Scale


def load_pointmaps(folder: Path, graph: MatchGraph) -> Pointmaps:
    cameras = read_cameras(folder)
    views = {view.name: view for view in cameras.views}
    maps = {}
    for i, photo in enumerate(graph.photos):
        if photo.name in views:
            stored = StoredPointmap.load(folder, photo.key)
            depth, x, y = (each.astype(np.float64) for each in (stored.depth, stored.x, stored.y))
            maps[i] = SeenMap(views[photo.name], depth, x, y)
    return Pointmaps(maps, cameras.scale)


def hardly_matched(graph: MatchGraph, maps: Mapping[int, SeenMap]) -> list[int]:
    """Photos with pointmaps that share too little with others, or no parallax, to be placed by it."""
    telling = [pair for pair in graph.pairs if pair.model in ("general", "planar")]
    expected = dict.fromkeys(maps, 0.0)
    for pair in telling:
        if pair.a in maps and pair.b in maps:
            expected[pair.a] += pair.expected
            expected[pair.b] += pair.expected
    return [i for i in maps if expected[i] < _ENOUGH]


def with_points(
    model: Candidate,
    maps: Mapping[int, SeenMap],
    photos: Collection[int],
    sensors: Sensors,
    given: Mapping[int, Camera],
) -> Candidate:
    """The model with points from the pointmaps of `photos`, where another photo's pointmap shows the same surface.

    Args:
        given: known intrinsics, by photo: the model sees these photos as `fewview.recon.sfm.lens.ideal` does.
    """
    bundle = model.bundle
    for i in sorted(set(photos) & set(model.photos)):
        xy = np.stack(np.meshgrid(maps[i].x, maps[i].y), axis=-1).reshape(-1, 2)
        known = np.flatnonzero(np.isfinite(maps[i].depth.ravel()))
        chosen = known[np.linspace(0, len(known) - 1, min(len(known), _POINTS)).astype(int)]
        depth, xy = maps[i].depth.ravel()[chosen], xy[chosen]
        xy = (to_ideal(xy, given[i]) if i in given else xy) * sensors.scale[i]
        k = model.photos.index(i)
        rays = bundle.rays(k, xy)
        points = (depth[:, None] * rays / rays[:, 2:] - bundle.t[k]) @ bundle.R[k]
        seen = [_seen(bundle, m, maps.get(j), float(sensors.scale[j]), points) for m, j in enumerate(model.photos)]
        seen[k] = np.ones(len(points), bool)
        bundle = _added(bundle, points, np.stack(seen, axis=1))
    return replace(model, bundle=bundle)


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


def posed(near: Near, sensors: Sensors) -> Candidate:
    """A model of the poses alone, without points."""
    photos = sorted(near.poses)
    T = np.array([invert_rigid(near.poses[i]) for i in photos])
    used, lens = np.unique(sensors.lens[photos], return_inverse=True)
    kinds, sensor = np.unique(sensors.sensor[photos], return_inverse=True)
    none = np.zeros(0, int)
    bundle = Bundle(
        T[:, :3, :3], T[:, :3, 3], np.log(near.guess[used]), np.zeros(len(used)), sensors.is_fisheye[used],
        sensors.size[kinds] / 2, np.zeros((0, 3)), lens, sensor, none, none, np.zeros((0, 2)),
        np.zeros(len(photos), bool),
    )  # fmt: skip
    return Candidate(near.start, photos, bundle)


def believed_pairs(graph: MatchGraph, sensors: Sensors, near: Near) -> MatchGraph:
    """Only with pairs that are likely right, also because they agree with the poses, which do not rest on them."""
    found = agreements(posed(near, sensors), graph, sensors, near.tolerances_px[0])
    fitting = {(one.pair.a, one.pair.b): one.pair.log_odds + WEIGHTS.agreeing for one in found if one.supports}
    pairs = [replace(p, log_odds=fitting.get((p.a, p.b), p.log_odds)) for p in graph.pairs]
    return replace(graph, pairs=[pair for pair in pairs if pair.log_odds > 0])


def _seen(
    bundle: Bundle, m: int, there: SeenMap | None, scale: float, points: Float[np.ndarray, "P 3"]
) -> Bool[np.ndarray, " P"]:
    """Which points image m shows, as its pointmap has it."""
    if there is None:
        return np.zeros(len(points), bool)
    z = points @ bundle.R[m, 2] + bundle.t[m, 2]
    return there.shows(bundle.project(np.full(len(points), m), points) / scale, z)


def _added(bundle: Bundle, points: Float[np.ndarray, "P 3"], seen: Bool[np.ndarray, "P I"]) -> Bundle:
    """With the points that two images see at least, where these would see them."""
    kept = seen.sum(axis=1) >= 2
    point, image = np.nonzero(seen[kept])
    return replace(
        bundle,
        points=np.concatenate([bundle.points, points[kept]]),
        image=np.concatenate([bundle.image, image]),
        point=np.concatenate([bundle.point, len(bundle.points) + point]),
        xy=np.concatenate([bundle.xy, bundle.project(image, points[kept][point])]),
    )
