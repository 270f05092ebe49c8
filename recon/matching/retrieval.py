"""Which pairs are worth matching where all pairs are too many: photos of similar content, and neighbours in time.

Jegou et al., "Aggregating Local Descriptors into a Compact Image Representation", CVPR 2010 (VLAD), with the
normalisation per cell of Arandjelovic and Zisserman, "All about VLAD", CVPR 2013. The codebook is made of the
photos' own descriptors, so that it fits any matcher and needs no weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array
from scipy.sparse.csgraph import minimum_spanning_tree

ALL_PAIRS = 12
"""Up to so many photos, all pairs are matched."""
_WORDS = 64
_SAMPLE = 200
"""Descriptors of each photo that the codebook is made of: the strongest."""
_ROUNDS = 10


def choose_pairs(
    descriptors: Sequence[Float[np.ndarray, "_ D"]], sequence: Sequence[int], neighbours: int, window: int
) -> list[tuple[int, int]]:
    """Pairs to match, ascending: their number grows with that of the photos, not with its square.

    Args:
        descriptors: of each photo, unit length, strongest first.
        sequence: label of what each photo belongs to (a video, a folder of photos); within one, photos follow
            each other in time.
        neighbours: how many of the most similar photos each is matched with.
        window: how many of those that follow it in its sequence.
    """
    count = len(descriptors)
    if count <= ALL_PAIRS:
        return list(combinations(range(count), 2))
    vectors = _vlad(descriptors)
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -1)
    chosen = set()
    for i in range(count):
        chosen |= {(i, int(j)) for j in np.argsort(-similarity[i], kind="stable")[:neighbours]}
        after = [j for j in range(i + 1, count) if sequence[j] == sequence[i]]
        chosen |= {(i, j) for j in after[:window]}
    # Groups of photos that are each other's nearest must not fall apart.
    tree = minimum_spanning_tree(csr_array(2 - similarity)).tocoo()
    chosen |= set(zip(tree.row.tolist(), tree.col.tolist(), strict=True))
    return sorted({(min(a, b), max(a, b)) for a, b in chosen})


def _vlad(descriptors: Sequence[Float[np.ndarray, "_ D"]]) -> Float[np.ndarray, "I WD"]:
    """One unit vector per photo."""
    words = _codebook(np.concatenate([d[:_SAMPLE] for d in descriptors]))
    vectors = np.zeros((len(descriptors), len(words), words.shape[1]), np.float32)
    for vector, found in zip(vectors, descriptors, strict=True):
        nearest = (found @ words.T).argmax(axis=1)
        np.add.at(vector, nearest, found - words[nearest])
        vector /= np.maximum(np.linalg.norm(vector, axis=1, keepdims=True), 1e-12)
    flat = vectors.reshape(len(vectors), -1)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)


def _codebook(sample: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "W D"]:
    """Spherical k-means from evenly spaced descriptors."""
    words = sample[np.linspace(0, len(sample) - 1, min(_WORDS, len(sample))).astype(int)].copy()
    for _ in range(_ROUNDS):
        nearest = (sample @ words.T).argmax(axis=1)
        sums = np.zeros_like(words)
        np.add.at(sums, nearest, sample)
        used = np.bincount(nearest, minlength=len(words)) > 0
        words[used] = sums[used] / np.maximum(np.linalg.norm(sums[used], axis=1, keepdims=True), 1e-12)
    return words
