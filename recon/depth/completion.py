"""What only one photo sees, or stereo cannot match: planes where they explain it, edge-aware diffusion elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32

from recon.depth.consistency import ray_directions
from recon.depth.covisibility import COMPLETED, VERIFIED, DepthMap
from recon.depth.diffusion import diffuse, distance_to
from recon.depth.evidence import borrowed, contradicted, pushed_behind
from recon.depth.labelling import SuperpixelGraph, minimise, superpixels
from recon.depth.planes import ScenePlane, find_planes
from recon.scene import PosedImage

REACH = 0.3
"""How far diffusion may extrapolate from verified pixels, as a share of the long side."""
SUPERPIXELS = 700
FARTHEST = 1.5
"""A completed surface is at most this many times as far as the farthest verified one."""
FIT_SCALE = 0.03
"""Relative depth difference at which a label fully disagrees with a verified pixel."""
STEP_SCALE = 0.04
"""Relative depth step at which two neighbouring labels fully disagree."""
COLOUR_SCALE = 0.25
CONTRAST_SCALE = 0.08
W_FIT, W_FRONT, W_COLOUR, W_FAR, W_FREE, W_SMOOTH = 4.0, 2.0, 1.0, 0.3, 0.45, 1.2


def complete(views: Sequence[PosedImage], maps: Sequence[DepthMap], seed: int) -> list[DepthMap]:
    """Fill the unknown pixels of every view; verified ones stay as they are.

    Filled pixels are marked `COMPLETED`. What lies far from anything verified and on no supported plane stays
    unknown, such as sky.
    """
    planes = find_planes(views, maps, seed)
    return [
        _fill(
            view,
            maps[i],
            planes,
            [other for j, other in enumerate(views) if j != i],
            [other for j, other in enumerate(maps) if j != i],
        )
        for i, view in enumerate(views)
    ]


@dataclass(frozen=True)
class _Known:
    inverse: Float32[np.ndarray, "H W"]
    """Verified or borrowed inverse depth, 0 = unknown."""
    weight: Float32[np.ndarray, "H W"]
    verified: Bool[np.ndarray, "H W"]
    distance: Float32[np.ndarray, "H W"]
    """Pixels to the nearest known one."""


def _fill(
    view: PosedImage,
    depth_map: DepthMap,
    planes: Sequence[ScenePlane],
    others: Sequence[PosedImage],
    other_maps: Sequence[DepthMap],
) -> DepthMap:
    known = _known(view, depth_map, others, other_maps)
    if not (known.inverse > 0).any():
        return depth_map
    long_side = max(known.inverse.shape)
    farthest = FARTHEST / float(np.percentile(known.inverse[known.inverse > 0], 1))
    diffused = np.maximum(diffuse(view.image, known.inverse, known.weight), 1 / farthest)
    surfaces = [diffused]
    for plane in planes:
        inverse = plane.inverse_depth(view)
        if (inverse > 1 / farthest).any():
            surfaces.append(inverse)
    graph = superpixels(view.image, SUPERPIXELS)
    chosen = _choose(view, graph, surfaces, known, farthest, others, other_maps)
    picked = chosen[graph.label]
    planar = picked > 0
    inverse = _take(surfaces, picked)

    # Diffuse once more, now also from the planes, and use it where no plane was chosen.
    unknown = known.inverse <= 0
    soft = np.where(unknown & planar, 0.3, known.weight).astype(np.float32)
    again = diffuse(view.image, np.where(unknown, inverse, known.inverse), soft)
    inverse = np.where(planar, inverse, np.maximum(again, 1 / farthest))
    inverse = np.where(unknown, inverse, known.inverse).astype(np.float32)

    target = ~known.verified & view.mask & (inverse > 0)
    target &= planar | (known.distance < REACH * long_side)
    inverse = pushed_behind(view, inverse, target, farthest, others, other_maps)
    target &= inverse > 0
    depth = np.where(target, 1 / np.maximum(inverse, 1e-9), depth_map.depth).astype(np.float32)
    guess = 0.5 * np.exp(-known.distance / (0.1 * long_side)) * np.where(planar, 1.0, 0.5)
    confidence = np.where(target, guess, depth_map.confidence)
    normal = np.where(target[..., None], depth_normals(view, 1 / np.maximum(inverse, 1e-9)), depth_map.normal)
    source = np.where(target, COMPLETED, depth_map.source)
    return DepthMap(depth, confidence.astype(np.float16), normal.astype(np.float16), source.astype(np.uint8))


def _take(surfaces: Sequence[np.ndarray], picked: np.ndarray) -> np.ndarray:
    return np.take_along_axis(np.stack(surfaces), picked[None], 0)[0]


def _known(
    view: PosedImage, depth_map: DepthMap, others: Sequence[PosedImage], other_maps: Sequence[DepthMap]
) -> _Known:
    verified = depth_map.source == VERIFIED
    extra = borrowed(view, verified, others, other_maps)
    inverse = np.where(verified, 1 / np.where(verified, depth_map.depth, 1), extra).astype(np.float32)
    weight = np.where(verified, depth_map.confidence.astype(np.float32), np.where(extra > 0, 0.3, 0))
    return _Known(inverse, weight.astype(np.float32), verified, distance_to(inverse > 0))


def _choose(
    view: PosedImage,
    graph: SuperpixelGraph,
    surfaces: Sequence[Float32[np.ndarray, "H W"]],
    known: _Known,
    farthest: float,
    others: Sequence[PosedImage],
    other_maps: Sequence[DepthMap],
) -> np.ndarray:
    """The surface of each superpixel: 0 is the diffused one."""
    have = known.inverse > 0
    share_known = graph.mean(have.astype(np.float32))
    unary = np.zeros((graph.count, len(surfaces)))
    stride = 4
    coarse = graph.label[stride // 2 :: stride, stride // 2 :: stride].ravel()
    long_side = max(have.shape)
    for k, surface in enumerate(surfaces):
        valid = surface > 1 / farthest
        misfit = np.where(
            have, np.abs(np.log(np.maximum(surface, 1e-9) / np.where(have, known.inverse, 1))), 0
        )
        misfit = np.where(have, np.minimum(misfit / FIT_SCALE, 1), 0)
        front, difference = contradicted(view, np.where(valid, surface, 0), others, other_maps, stride)
        colour = np.where(np.isfinite(difference), np.minimum(difference / COLOUR_SCALE, 1), 0.35)
        samples = np.maximum(np.bincount(coarse, minlength=graph.count), 1)
        unary[:, k] += W_FIT * graph.mean(misfit.astype(np.float32))
        unary[:, k] += W_FRONT * np.bincount(coarse, front.ravel(), graph.count) / samples
        unary[:, k] += W_COLOUR * np.bincount(coarse, colour.ravel(), graph.count) / samples
        unary[:, k] += 4.0 * graph.mean((~valid).astype(np.float32))
        if k == 0:
            away = known.distance
            unary[:, k] += W_FREE * (1 - share_known)
        else:
            support = have & (misfit < 0.5)
            away = distance_to(support)
        unary[:, k] += W_FAR * np.minimum(graph.mean(away) / (0.25 * long_side), 1)
    unary *= (graph.area / graph.area.mean())[:, None]
    return minimise(unary, graph.edges, _pairwise(graph, surfaces))


def _pairwise(
    graph: SuperpixelGraph, surfaces: Sequence[Float32[np.ndarray, "H W"]]
) -> Float[np.ndarray, "E L L"]:
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
            jump = np.minimum(difference / STEP_SCALE, 1)
            step[:, a, b] = np.bincount(graph.pixel_edge, jump, len(graph.edges)) / graph.length
    change = 1 - np.eye(labels)
    hold = np.exp(-graph.contrast / CONTRAST_SCALE) * graph.length / graph.length.mean()
    return W_SMOOTH * hold[:, None, None] * (0.1 * change + 0.9 * step)


def depth_normals(view: PosedImage, depth: Float32[np.ndarray, "H W"]) -> Float[np.ndarray, "H W 3"]:
    """Unit normals, camera frame, towards the camera, from the slope of a depth map."""
    points = ray_directions(view) * depth[..., None]
    normal = np.cross(np.gradient(points, axis=0), np.gradient(points, axis=1))
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-12)
    return np.where((normal * points).sum(-1, keepdims=True) > 0, -normal, normal)
