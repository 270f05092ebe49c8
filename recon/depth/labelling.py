"""Which surface a superpixel belongs to: a discrete energy on the superpixel graph, by belief propagation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int
from skimage.segmentation import slic

from fewview.recon.depth import tolerances as tol


@dataclass(frozen=True)
class SuperpixelGraph:
    label: Int[np.ndarray, "H W"]
    """Superpixel of each pixel, 0 to count - 1."""
    count: int
    area: Float[np.ndarray, " S"]
    """Pixels."""
    edges: Int[np.ndarray, "E 2"]
    """Neighbouring superpixels, first < second."""
    length: Float[np.ndarray, " E"]
    """Common boundary, pixels."""
    contrast: Float[np.ndarray, " E"]
    """Mean RGB distance across the boundary."""
    pixel_edge: Int[np.ndarray, " B"]
    """Per pair of pixels across a boundary: its edge; `first` and `second` are their flat indices."""
    first: Int[np.ndarray, " B"]
    second: Int[np.ndarray, " B"]

    def mean(self, values: Float32[np.ndarray, "H W"]) -> Float[np.ndarray, " S"]:
        """Mean of an image over each superpixel."""
        return np.bincount(self.label.ravel(), values.ravel().astype(np.float64), self.count) / self.area


def superpixels(image: Float32[np.ndarray, "H W 3"], count: int) -> SuperpixelGraph:
    """About `count` compact regions of one colour (SLIC, Achanta et al. 2012) and who touches whom."""
    label = slic(image, n_segments=count, compactness=8, sigma=0.7, start_label=0, enforce_connectivity=True)
    label = np.unique(label, return_inverse=True)[1].reshape(label.shape)
    n = int(label.max()) + 1
    index = np.arange(label.size).reshape(label.shape)
    firsts, seconds = [], []
    for a, b in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        differ = label[a] != label[b]
        firsts.append(index[a][differ])
        seconds.append(index[b][differ])
    first, second = np.concatenate(firsts), np.concatenate(seconds)
    flat = label.ravel()
    swap = flat[first] > flat[second]
    first, second = np.where(swap, second, first), np.where(swap, first, second)
    keys, pixel_edge = np.unique(flat[first] * n + flat[second], return_inverse=True)
    length = np.bincount(pixel_edge, minlength=len(keys)).astype(np.float64)
    colours = image.reshape(-1, 3)
    distance = np.linalg.norm(colours[first] - colours[second], axis=1)
    return SuperpixelGraph(
        label,
        n,
        np.bincount(flat, minlength=n).astype(np.float64),
        np.stack([keys // n, keys % n], 1),
        length,
        np.bincount(pixel_edge, distance, len(keys)) / length,
        pixel_edge,
        first,
        second,
    )


def minimise(
    unary: Float[np.ndarray, "S L"], edges: Int[np.ndarray, "E 2"], pairwise: Float[np.ndarray, "E L L"]
) -> Int[np.ndarray, " S"]:
    """Labels of low energy: sum unary + sum over edges of pairwise[e, label of first, label of second].

    Min-sum loopy belief propagation with damping (Felzenszwalb & Huttenlocher 2006).
    """
    labels = unary.shape[1]
    if not len(edges):
        return unary.argmin(1)
    forward = np.zeros((len(edges), labels))
    backward = np.zeros((len(edges), labels))
    for _ in range(tol.LABEL_ROUNDS):
        belief = _belief(unary, edges, forward, backward)
        to_second = (belief[edges[:, 0]] - backward)[:, :, None] + pairwise
        to_first = (belief[edges[:, 1]] - forward)[:, None, :] + pairwise
        forward = tol.LABEL_DAMPING * forward + (1 - tol.LABEL_DAMPING) * _normalised(to_second.min(1))
        backward = tol.LABEL_DAMPING * backward + (1 - tol.LABEL_DAMPING) * _normalised(to_first.min(2))
    return _belief(unary, edges, forward, backward).argmin(1)


def _belief(unary: np.ndarray, edges: np.ndarray, forward: np.ndarray, backward: np.ndarray) -> np.ndarray:
    belief = unary.copy()
    np.add.at(belief, edges[:, 1], forward)
    np.add.at(belief, edges[:, 0], backward)
    return belief


def _normalised(message: np.ndarray) -> np.ndarray:
    return message - message.min(1, keepdims=True)
