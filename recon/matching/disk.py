"""DISK keypoints matched by their LightGlue, through kornia: another network's second look.

Tyszkiewicz et al., "DISK: Learning Local Features with Policy Gradient", NeurIPS 2020.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from kornia.feature import DISK

from recon.io.weights import fetch
from recon.matching.aliked import image_tensor, lies_in, load_lightglue, load_state, match_features, mutual_nearest
from recon.matching.features import Features, Matches
from recon.progress import Progress


class DiskLightGlue:
    """Detects and matches.

    Raises (on construction):
        EnvironmentFault: the weights cannot be had.
    """

    name = "disk+lightglue"
    turns = True

    def __init__(self, keypoints: int, progress: Progress) -> None:
        self._keypoints = keypoints
        self._disk = DISK()
        load_state(self._disk, torch.load(fetch("disk", progress), map_location="cpu", weights_only=True)["extractor"])
        self._disk.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._lightglue = load_lightglue("lightglue-disk", progress)

    def detect(self, image: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "H W"] | None) -> Features:
        """Keypoints inside the mask, strongest first."""
        height, width = image.shape[:2]
        with torch.inference_mode():
            found = self._disk(image_tensor(image), self._keypoints, pad_if_not_divisible=True)[0]
            points, scores, descriptors = found.keypoints + 0.5, found.detection_scores, found.descriptors
            if mask is not None:
                inside = lies_in(mask, points)
                points, scores, descriptors = points[inside], scores[inside], descriptors[inside]
            order = torch.argsort(scores, descending=True, stable=True)
            return Features(points[order].numpy(), scores[order].numpy(), descriptors[order], width, height)

    def affinity(self, a: Features, b: Features) -> int:
        """A cheap count that is large for images that will match."""
        return mutual_nearest(a, b)

    def match(self, a: Features, b: Features) -> Matches:
        """Each keypoint at most once."""
        return match_features(self._lightglue, a, b)
