"""The stage's course: keypoints, all pairs, verification, turned photos, files."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from recon.errors import EnvironmentFault
from recon.matching import MatchingConfig
from recon.matching.aliked import AlikedLightGlue
from recon.matching.features import Features, Matcher, turn_features, turn_image
from recon.matching.sift import Sift
from recon.matching.turns import Pair, Turned, match_turned
from recon.matching.verification import verify
from recon.photos import Photo, load_photos
from recon.progress import Progress


class _Session:
    """Photos with their keypoints, found when first needed, each way up that is asked for."""

    def __init__(self, folder: Path, matcher: Matcher, config: MatchingConfig) -> None:
        self.photos = load_photos(folder)
        self._images = [_working_image(photo, folder, config.long_side) for photo in self.photos]
        self._matcher, self._config = matcher, config
        self._found: dict[Turned, Features] = {}

    def features(self, turned: Turned) -> Features:
        """In pixels of the working image as it is turned."""
        if turned not in self._found:
            (image, mask), quarters = self._images[turned[0]], turned[1]
            self._found[turned] = self._matcher.detect(
                turn_image(image, quarters), None if mask is None else turn_image(mask, quarters)
            )
        return self._found[turned]

    def keypoints(self, turned: Turned) -> Float[np.ndarray, "N 2"]:
        """In pixels of the upright original."""
        photo, upright = self.photos[turned[0]], turn_features(self.features(turned), -turned[1])
        scale = np.array([photo.width / upright.width, photo.height / upright.height])
        return (upright.keypoints * scale).astype(np.float32)

    def affinity(self, one: Turned, other: Turned) -> int:
        return self._matcher.affinity(self.features(one), self.features(other))

    def match(self, one: Turned, other: Turned) -> Pair:
        raw = self._matcher.match(self.features(one), self.features(other))
        photos = self.photos[one[0]], self.photos[other[0]]
        # The tolerance is that of the images that keypoints were found in; the larger photo decides.
        scale = max(max(p.width, p.height) / min(max(p.width, p.height), self._config.long_side) for p in photos)
        verified = verify(
            photos,
            (self.keypoints(one), self.keypoints(other)),
            raw,
            max_error_px=self._config.max_error_px * scale,
            min_matches=self._config.min_matches,
            seed=self._config.seed,
        )
        return Pair(len(raw), verified)


def match_photos(folder: Path, config: MatchingConfig, out: Path, progress: Progress) -> None:
    """See `recon.matching.run`."""
    matcher = _choose_matcher(config, progress)
    session = _Session(folder, matcher, config)
    count = len(session.photos)
    all_pairs = list(combinations(range(count), 2))
    progress.note(f"All {len(all_pairs)} pairs of {count} photos are matched by {matcher.name}.")
    total = count + len(all_pairs)
    for i in range(count):
        progress.step(i, total, "photos and pairs")
        session.features((i, 0))
    pairs: dict[tuple[int, int], Pair] = {}
    for done, (a, b) in enumerate(all_pairs, start=count):
        progress.step(done, total, "photos and pairs")
        pairs[a, b] = session.match((a, 0), (b, 0))
    progress.step(total, total, "photos and pairs")
    quarters = [0] * count
    if matcher.turns:
        quarters = match_turned(count, pairs, session.affinity, session.match, progress)
    progress.fact("turned_deg", {session.photos[i].name: 90 * q for i, q in enumerate(quarters) if q})
    progress.fact("matcher", matcher.name)
    _write(out, session, quarters, pairs, matcher.name)


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


def _write(out: Path, session: _Session, quarters: list[int], pairs: dict[tuple[int, int], Pair], matcher: str) -> None:
    (out / "features").mkdir()
    (out / "pairs").mkdir()
    photos = session.photos
    for turned in enumerate(quarters):
        np.savez(
            out / "features" / f"{photos[turned[0]].key}.npz",
            keypoints=session.keypoints(turned),
            scores=session.features(turned).scores,
        )
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
