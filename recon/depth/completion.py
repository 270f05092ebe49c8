"""What only one photo sees, or stereo cannot match: planes where they explain it, else diffusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32

from fewview.recon.depth import tolerances as tol
from fewview.recon.depth.artifact import COMPLETED, PLANAR, VERIFIED, DepthMap
from fewview.recon.depth.confidence import COMPLETED_WEIGHTS, completed_features, probability
from fewview.recon.depth.diffusion import diffuse, distance_to
from fewview.recon.depth.evidence import borrowed, contradicted, pushed_behind
from fewview.recon.depth.labelling import SuperpixelGraph, minimise, superpixels
from fewview.recon.depth.planes import ScenePlane
from fewview.recon.depth.reach import path_to_support
from fewview.recon.scene import PosedImage


def complete(views: Sequence[PosedImage], maps: Sequence[DepthMap], planes: Sequence[ScenePlane]) -> list[DepthMap]:
    """Fill the unknown pixels of every view; verified ones stay as they are.

    Filled pixels are marked `PLANAR` where they lie on a plane of the scene, else `COMPLETED`. What lies far from
    anything verified and on no supported plane stays unknown, such as sky.
    """
    out = []
    for i, view in enumerate(views):
        others = [j for j in range(len(views)) if j != i]
        filled = fill(view, maps[i], planes, [views[j] for j in others], [maps[j] for j in others])
        out.append(maps[i] if filled is None else _merged(view, maps[i], filled))
    return out


@dataclass(frozen=True)
class Filled:
    inverse: Float32[np.ndarray, "H W"]
    """Verified or completed inverse depth; meaningful where `target` is or the pixel was verified."""
    target: Bool[np.ndarray, "H W"]
    """Pixels that completion gives a depth."""
    planar: Bool[np.ndarray, "H W"]
    """Those of them that lie on a plane of the scene."""
    features: dict[str, Float32[np.ndarray, "H W"]]
    """For `confidence.probability` with `COMPLETED_WEIGHTS`."""


@dataclass(frozen=True)
class _Known:
    inverse: Float32[np.ndarray, "H W"]
    """Verified or borrowed inverse depth, 0 = unknown."""
    weight: Float32[np.ndarray, "H W"]
    verified: Bool[np.ndarray, "H W"]
    distance: Float32[np.ndarray, "H W"]
    """Pixels to the nearest known one."""


def fill(
    view: PosedImage,
    depth_map: DepthMap,
    planes: Sequence[ScenePlane],
    others: Sequence[PosedImage],
    other_maps: Sequence[DepthMap],
) -> Filled | None:
    """Complete one view; None if neither it nor its neighbours verified anything that it shows."""
    known = _known(view, depth_map, others, other_maps)
    if not (known.inverse > 0).any():
        return None
    long_side = max(known.inverse.shape)
    farthest = tol.COMPLETED_FARTHEST / float(np.percentile(known.inverse[known.inverse > 0], 1))
    diffused = np.maximum(diffuse(view.image, known.inverse, known.weight), 1 / farthest)
    surfaces, used, shell = [diffused], [], np.zeros_like(diffused)
    for plane in planes:
        inverse = plane.inverse_depth(view)
        if (inverse > 1 / farthest).any():
            surfaces.append(inverse)
            used.append(plane)
        if plane.encloses:
            shell = np.maximum(shell, inverse)
    graph = superpixels(view.image, tol.SUPERPIXELS)
    encloses = [plane.encloses for plane in used]
    chosen, energy = _choose(view, graph, surfaces, encloses, shell, known, farthest, others, other_maps)
    picked = chosen[graph.label]
    planar = picked > 0
    inverse = _take(surfaces, picked)

    # Diffuse once more, now also from the planes, and use it where no plane was chosen.
    unknown = known.inverse <= 0
    soft = np.where(unknown & planar, tol.GUESSED_WEIGHT, known.weight).astype(np.float32)
    again = diffuse(view.image, np.where(unknown, inverse, known.inverse), soft)
    inverse = np.where(planar, inverse, np.maximum(again, np.maximum(shell, 1 / farthest)))
    inverse = np.where(unknown, inverse, known.inverse).astype(np.float32)

    target = ~known.verified & view.mask & (inverse > 0)
    target &= planar | (known.distance < tol.DIFFUSED * long_side)
    free = pushed_behind(view, inverse, target, farthest, others, other_maps)
    border = np.array([False, *(plane.evidence == "border" for plane in used)])
    way = path_to_support(view, used, picked)
    features = completed_features(
        planar,
        border[picked],
        ~known.verified & (known.inverse > 0),
        known.distance,
        np.where(border[picked], 0, way).astype(np.float32),
        energy.astype(np.float32)[graph.label],
        free != inverse,
    )
    on_plane = planar & (free == inverse)
    target &= free > 0
    return Filled(free, target, target & on_plane, features)


def _merged(view: PosedImage, depth_map: DepthMap, filled: Filled) -> DepthMap:
    target, depth = filled.target, 1 / np.maximum(filled.inverse, 1e-9)
    confidence = np.where(target, probability(filled.features, COMPLETED_WEIGHTS), depth_map.confidence)
    normal = np.where(target[..., None], depth_normals(view, depth), depth_map.normal)
    return DepthMap(
        np.where(target, depth, depth_map.depth).astype(np.float32),
        confidence.astype(np.float16),
        normal.astype(np.float16),
        np.where(target, np.where(filled.planar, PLANAR, COMPLETED), depth_map.source).astype(np.uint8),
    )


def _take(surfaces: Sequence[np.ndarray], picked: np.ndarray) -> np.ndarray:
    return np.take_along_axis(np.stack(surfaces), picked[None], 0)[0]


def _known(
    view: PosedImage, depth_map: DepthMap, others: Sequence[PosedImage], other_maps: Sequence[DepthMap]
) -> _Known:
    verified = depth_map.source == VERIFIED
    extra = borrowed(view, verified, others, other_maps)
    inverse = np.where(verified, 1 / np.where(verified, depth_map.depth, 1), extra).astype(np.float32)
    weight = np.where(verified, depth_map.confidence.astype(np.float32), np.where(extra > 0, tol.GUESSED_WEIGHT, 0))
    return _Known(inverse, weight.astype(np.float32), verified, distance_to(inverse > 0))


def _choose(
    view: PosedImage,
    graph: SuperpixelGraph,
    surfaces: Sequence[Float32[np.ndarray, "H W"]],
    encloses: Sequence[bool],
    shell: Float32[np.ndarray, "H W"],
    known: _Known,
    farthest: float,
    others: Sequence[PosedImage],
    other_maps: Sequence[DepthMap],
) -> tuple[np.ndarray, np.ndarray]:
    """The surface of each superpixel (0: the diffused one), and its cost there (mean over the pixels)."""
    have = known.inverse > 0
    share_known = graph.mean(have.astype(np.float32))
    unary = np.zeros((graph.count, len(surfaces)))
    stride = 4
    grid = np.s_[stride // 2 :: stride, stride // 2 :: stride]
    coarse = graph.label[grid].ravel()
    y, x = (
        axis[grid].ravel().astype(np.float32) + np.float32(0.5) for axis in np.mgrid[: have.shape[0], : have.shape[1]]
    )
    samples = np.maximum(np.bincount(coarse, minlength=graph.count), 1)
    nearest = float(np.percentile(known.inverse[have], 99))
    long_side = max(have.shape)
    for k, surface in enumerate(surfaces):
        valid = surface > 1 / farthest
        misfit = np.where(have, np.abs(np.log(np.maximum(surface, 1e-9) / np.where(have, known.inverse, 1))), 0)
        misfit = np.where(have, np.minimum(misfit / tol.FIT_SCALE, 1), 0)
        proposed = np.where(valid, surface, 0)[grid].ravel()
        front, difference = contradicted(view, x, y, proposed, others, other_maps)
        colour = np.where(np.isfinite(difference), np.minimum(difference / tol.COLOUR_SCALE, 1), tol.COLOUR_UNSEEN)
        unary[:, k] += tol.W_FIT * graph.mean(misfit.astype(np.float32))
        unary[:, k] += tol.W_FRONT * np.bincount(coarse, front, graph.count) / samples
        unary[:, k] += tol.W_COLOUR * np.bincount(coarse, colour, graph.count) / samples
        unary[:, k] += tol.W_ABSENT * graph.mean((~valid).astype(np.float32))
        if k == 0:
            away = known.distance
            unary[:, k] += tol.W_FREE * (1 - share_known)
        else:
            support = have & (misfit < 0.5)
            away = distance_to(support)
        scale = tol.WALL_FAR_SCALE if k > 0 and encloses[k - 1] else tol.FAR_SCALE
        unary[:, k] += tol.W_FAR * np.minimum(graph.mean(away) / (scale * long_side), 1)
        beyond = np.clip(np.log(np.maximum(shell, 1e-9) / np.maximum(surface, 1e-9)) / tol.BEYOND_SCALE, 0, 1)
        unary[:, k] += tol.W_BEYOND * graph.mean(beyond.astype(np.float32))
        closer = np.clip(np.log(np.maximum(surface, 1e-9) / nearest) / np.log(2), 0, 1)
        unary[:, k] += tol.W_NEAR * graph.mean(closer.astype(np.float32))
    size = (graph.area / graph.area.mean())[:, None]
    chosen = minimise(unary * size, graph.edges, _pairwise(graph, surfaces))
    return chosen, unary[np.arange(graph.count), chosen]


def _pairwise(graph: SuperpixelGraph, surfaces: Sequence[Float32[np.ndarray, "H W"]]) -> Float[np.ndarray, "E L L"]:
    """Cost of a depth step between neighbours: long boundaries without contrast resist it most.

    Different planes that meet at the boundary (a wall and the ceiling at their corner) cost almost nothing.
    """
    logs = [np.log(np.maximum(surface, 1e-6)).ravel() for surface in surfaces]
    labels = len(surfaces)
    step = np.zeros((len(graph.edges), labels, labels))
    for a in range(labels):
        for b in range(labels):
            if a == b:
                continue
            difference = np.abs(logs[a][graph.first] - logs[b][graph.second])
            jump = np.minimum(difference / tol.STEP_SCALE, 1)
            step[:, a, b] = np.bincount(graph.pixel_edge, jump, len(graph.edges)) / graph.length
    change = 1 - np.eye(labels)
    hold = np.exp(-graph.contrast / tol.CONTRAST_SCALE) * graph.length / graph.length.mean()
    return tol.W_SMOOTH * hold[:, None, None] * (tol.CHANGE_SHARE * change + (1 - tol.CHANGE_SHARE) * step)


def depth_normals(view: PosedImage, depth: Float32[np.ndarray, "H W"]) -> Float[np.ndarray, "H W 3"]:
    """Unit normals, camera frame, towards the camera, from the slope of a depth map."""
    points = view.camera.rays(np.float32) * depth[..., None]
    normal = np.cross(np.gradient(points, axis=0), np.gradient(points, axis=1))
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-12)
    return np.where((normal * points).sum(-1, keepdims=True) > 0, -normal, normal)
