"""The stage's course: keypoints, all pairs, verification, turned photos, files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from recon.errors import EnvironmentFault
from recon.matching import MatchingConfig
from recon.matching.aliked import AlikedLightGlue
from recon.matching.features import Features, Matcher, Matches
from recon.matching.sift import Sift
from recon.matching.turns import Pair, match_turned
from recon.matching.verification import Verified, verify
from recon.photos import Photo, load_photos
from recon.progress import Progress


@dataclass(frozen=True)
class _PairMatcher:
    """Matches and verifies one pair; `turns.match_turned` calls it too."""

    photos: list[Photo]
    keypoints: list[Float[np.ndarray, "N 2"]]
    """Pixels of the originals."""
    matcher: Matcher
    config: MatchingConfig

    def __call__(self, a: int, b: int, features_a: Features, features_b: Features) -> Pair:
        raw = self.matcher.match(features_a, features_b)
        return Pair(len(raw), self.verify(a, b, raw))

    def verify(self, a: int, b: int, raw: Matches) -> Verified:
        photos = self.photos[a], self.photos[b]
        # The tolerance is that of the images that keypoints were found in; the larger photo decides.
        scale = max(
            max(p.width, p.height) / min(max(p.width, p.height), self.config.long_side) for p in photos
        )
        return verify(
            photos,
            (self.keypoints[a], self.keypoints[b]),
            raw,
            max_error_px=self.config.max_error_px * scale,
            min_matches=self.config.min_matches,
            seed=self.config.seed,
        )


def match_photos(folder: Path, config: MatchingConfig, out: Path, progress: Progress) -> None:
    """See `recon.matching.run`."""
    photos = load_photos(folder)
    matcher = _choose_matcher(config, progress)
    count = len(photos) * (len(photos) - 1) // 2
    total = len(photos) + count
    progress.note(f"All {count} pairs of {len(photos)} photos are matched by {matcher.name}.")
    images = [_working_image(photo, folder, config.long_side) for photo in photos]
    features = []
    for done, (image, mask) in enumerate(images):
        progress.step(done, total, "photos and pairs")
        features.append(matcher.detect(image, mask))
    keypoints = [_in_original(f, photo) for f, photo in zip(features, photos, strict=True)]
    match_pair = _PairMatcher(photos, keypoints, matcher, config)
    pairs: dict[tuple[int, int], Pair] = {}
    for done, (a, b) in enumerate(combinations(range(len(photos)), 2), start=len(photos)):
        progress.step(done, total, "photos and pairs")
        pairs[a, b] = match_pair(a, b, features[a], features[b])
    progress.step(total, total, "photos and pairs")
    if matcher.turns:
        quarters = match_turned(
            [image for image, _ in images], features, pairs, matcher, match_pair, progress
        )
        turned = {photos[i].name: 90 * q for i, q in enumerate(quarters) if q}
        progress.fact("turned_deg", turned)
    progress.fact("matcher", matcher.name)
    _write(out, photos, features, keypoints, pairs, matcher.name)


def _choose_matcher(config: MatchingConfig, progress: Progress) -> Matcher:
    try:
        return AlikedLightGlue(config.keypoints, progress)
    except EnvironmentFault as error:
        progress.fallback("aliked+lightglue", Sift.name, str(error))
        return Sift(config.keypoints)


def _working_image(
    photo: Photo, folder: Path, long_side: int
) -> tuple[UInt8[np.ndarray, "H W 3"], Bool[np.ndarray, "H W"] | None]:
    image, mask = photo.load_image8(folder), photo.load_mask(folder)
    height, width = image.shape[:2]
    scale = long_side / max(width, height)
    if scale < 1:
        size = round(width * scale), round(height * scale)
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        if mask is not None:
            mask = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    return image, mask


def _in_original(features: Features, photo: Photo) -> Float[np.ndarray, "N 2"]:
    scale = np.array([photo.width / features.width, photo.height / features.height])
    return (features.keypoints * scale).astype(np.float32)


def _write(
    out: Path,
    photos: list[Photo],
    features: list[Features],
    keypoints: list[np.ndarray],
    pairs: dict[tuple[int, int], Pair],
    matcher: str,
) -> None:
    (out / "features").mkdir()
    (out / "pairs").mkdir()
    for photo, found, points in zip(photos, features, keypoints, strict=True):
        np.savez(out / "features" / f"{photo.key}.npz", keypoints=points, scores=found.scores)
    entries = []
    for (a, b), pair in sorted(pairs.items()):
        verified = pair.verified
        entries.append(
            {
                "a": photos[a].name,
                "b": photos[b].name,
                "raw": pair.raw,
                "verified": len(verified.matches),
                "model": verified.model,
                "median_angle_deg": verified.median_angle_deg,
            }
        )
        np.savez(
            out / "pairs" / f"{photos[a].key}--{photos[b].key}.npz",
            matches=verified.matches.pairs,
            confidence=verified.matches.confidence,
        )
    text = json.dumps({"matcher": matcher, "pairs": entries}, indent=1, sort_keys=True)
    (out / "pairs.json").write_text(text + "\n", encoding="utf-8")
