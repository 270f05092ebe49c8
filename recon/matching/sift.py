"""SIFT keypoints matched by nearest neighbours: the fallback where the networks' weights cannot be had.

Lowe, "Distinctive Image Features from Scale-Invariant Keypoints", 2004, with the root normalisation of
Arandjelovic and Zisserman, "Three things everyone should know to improve object retrieval", CVPR 2012.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from fewview.recon.matching.features import Features, Matches

_RATIO = 0.8
"""Lowe's ratio test on distances."""
_ABUNDANCE = 2
"""Far fewer SIFT keypoints survive matching, so twice as many are taken."""


class Sift:
    name = "sift"
    turns = False

    def __init__(self, keypoints: int) -> None:
        self._limit = _ABUNDANCE * keypoints
        self._sift = cv2.SIFT.create(nfeatures=self._limit, contrastThreshold=0.02)

    def detect(self, image: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "H W"] | None) -> Features:
        height, width = image.shape[:2]
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        found, descriptors = self._sift.detectAndCompute(grey, None if mask is None else mask.astype(np.uint8))
        if not found:
            nothing = np.zeros((0, 128), np.float32)
            return Features(np.zeros((0, 2), np.float32), np.zeros(0, np.float32), nothing, width, height)
        order = np.argsort([-point.response for point in found], kind="stable")[: self._limit]
        points = np.array([found[i].pt for i in order], np.float32) + np.float32(0.5)
        scores = np.array([found[i].response for i in order], np.float32)
        normalised = descriptors[order] / np.maximum(descriptors[order].sum(axis=1, keepdims=True), 1e-6)
        return Features(points, scores, np.sqrt(normalised), width, height)

    def match(self, a: Features, b: Features) -> Matches:
        if min(len(a.keypoints), len(b.keypoints)) < 2:
            return Matches(np.zeros((0, 2), np.int32), np.zeros(0, np.float32))
        similarity = a.descriptors @ b.descriptors.T
        best = similarity.argmax(axis=1)
        rows = np.arange(len(similarity))
        second = np.partition(similarity, -2, axis=1)[:, -2]
        nearest, next_nearest = (np.sqrt(np.maximum(2 - 2 * s, 0)) for s in (similarity[rows, best], second))
        ratio = nearest / np.maximum(next_nearest, 1e-6)
        keep = (similarity.argmax(axis=0)[best] == rows) & (ratio < _RATIO)
        pairs = np.stack([rows[keep], best[keep]], axis=1).astype(np.int32)
        return Matches(pairs, (1 - ratio[keep]).astype(np.float32))

    def affinity(self, a: Features, b: Features) -> int:
        return len(self.match(a, b))
