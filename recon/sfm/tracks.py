"""Tracks: keypoints that matches join across photos."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fewview.recon.sfm.graph import MatchGraph, Pair

_HELD_OUT = 8
"""One in so many tracks is kept from mapping, to test the models by."""


def held_out(graph: MatchGraph, pairs: Collection[Pair]) -> list[Bool[np.ndarray, " _"]]:
    """Per pair, which of its matches belong to tracks that are kept from mapping.

    Whole tracks, because a match of a track that the model was made of would not test it.
    """
    offsets = np.concatenate([[0], np.cumsum([len(xy) for xy in graph.keypoints])])
    track = _tracks(offsets, pairs)
    chosen = (track % _HELD_OUT == 0) & _consistent(track, offsets)[track]
    return [chosen[offsets[pair.a] + pair.matches[:, 0]] for pair in pairs]


def only(pair: Pair, keep: Bool[np.ndarray, " M"]) -> Pair:
    """The pair with some of its matches."""
    return replace(pair, matches=pair.matches[keep])


def _tracks(offsets: Int[np.ndarray, " I1"], pairs: Collection[Pair]) -> Int[np.ndarray, " K"]:
    """Number of the track of each keypoint of all photos."""
    ends = [(offsets[pair.a] + pair.matches[:, 0], offsets[pair.b] + pair.matches[:, 1]) for pair in pairs]
    rows, columns = (np.concatenate([end[c] for end in ends] or [np.zeros(0, int)]) for c in (0, 1))
    size = int(offsets[-1])
    links = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(size, size))
    return connected_components(links, directed=False)[1]


def _consistent(track: Int[np.ndarray, " K"], offsets: Int[np.ndarray, " I1"]) -> Bool[np.ndarray, " T"]:
    """Tracks that no photo has twice. Wrong matches chain others to giants: held out, little would be left."""
    photo = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    cells = np.unique(np.stack([track, photo]), axis=1, return_counts=True)
    twice = np.zeros(track.max(initial=-1) + 1, bool)
    twice[cells[0][0][cells[1] > 1]] = True
    return ~twice
