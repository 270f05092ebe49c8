"""Global alignment of pairwise pointmaps: one camera and one depth map per photo out of many overlapping pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fewview.recon.geometry.pose import rigid
from fewview.recon.pointmaps.maps import PlacedMap, estimate_focal
from fewview.recon.pointmaps.pairs import PointmapPair, consistent, own_maps, tie
from fewview.recon.pointmaps.refinement import Alignment, depth_of, refine_alignment
from fewview.recon.pointmaps.spanning import spanning_tree


def align_pairs(pairs: Sequence[PointmapPair], names: Sequence[str]) -> tuple[list[PlacedMap], list[tuple[int, int]]]:
    """Cameras and depth of all photos in one frame, up to a similarity.

    Minimised is, over a pose, a focal length and depths per photo and a similarity per pair,

        sum over pairs and pixels of log(confidence) |P_world - s T P_pair|

    with the mean log scale of the pairs pinned (DUSt3R, CVPR 2024, section 3.4), from a maximum spanning tree of the
    pairs and focal lengths by `estimate_focal`. Pairs that contradict the others (`consistent`) take no part. Memory
    grows with the pairs that are given, not with the square of the photos.

    Args:
        pairs: all maps of a photo have one grid, and no two pairs the same photos in the same order.
        names: of the photos, for messages.

    Returns:
        The photos, and the pairs that were left out.

    Raises:
        ValueError: a photo is in no pair or never the first, the pairs do not hang together, or a map is empty.
    """
    own = own_maps(pairs, names)
    ties = consistent([tie(pair, own) for pair in pairs], own)
    worlds = spanning_tree(ties, names)
    pairs_left = [one.pair for one in ties]
    start = Alignment(
        np.stack([rigid(world.R, world.t) for world in worlds]),
        np.array([_focal(pairs_left, view, name) for view, name in enumerate(names)]),
        [worlds[one.pair.i] @ one.to_first for one in ties],
    )
    final = refine_alignment(start, pairs_left)
    placed = []
    for view, pointmap in enumerate(own):
        depth, weights = depth_of(final, pairs_left, view)
        T, focal = final.Ts_world_camera[view], float(final.focals[view])
        placed.append(PlacedMap(T, focal, depth, weights, pointmap.x, pointmap.y))
    used = {(pair.i, pair.j) for pair in pairs_left}
    return placed, sorted({(pair.i, pair.j) for pair in pairs} - used)


def _focal(pairs: Sequence[PointmapPair], view: int, name: str) -> float:
    """The median of what the pairs say in which the photo is the first."""
    maps = [pair.map_i for pair in pairs if pair.i == view]
    if not maps:
        raise ValueError(f"{name} is the first of no pair that fits the others")
    try:
        return float(np.median([estimate_focal(each) for each in maps]))
    except ValueError as error:
        raise ValueError(f"of {name}, {error}") from error
