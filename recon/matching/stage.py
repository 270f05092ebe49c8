"""The stage's course: keypoints, the pairs worth it, verification, turned photos, files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from recon.errors import EnvironmentFault
from recon.matching import MatchingConfig, MatchingFacts
from recon.matching.aliked import AlikedLightGlue
from recon.matching.artifact import MatchedPair, save_keypoints, save_matches, save_pairs
from recon.matching.evidence import measure
from recon.matching.features import Features, Matcher, turn_features, turn_image
from recon.matching.masks import moves, tied
from recon.matching.retrieval import choose_pairs
from recon.matching.sift import Sift
from recon.matching.turns import Pair, Turned, find_turns
from recon.matching.verification import verify
from recon.photos import Photo, load_photos
from recon.progress import Progress


class _Session:
    """Photos with their keypoints, found when first needed, each way up that is asked for."""

    def __init__(self, folder: Path, matcher: Matcher, config: MatchingConfig, masked: bool = True) -> None:
        self.photos = load_photos(folder)
        if not masked:
            self.photos = [replace(photo, mask=None) for photo in self.photos]
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
        max_error_px = self._config.max_error_px * scale
        keypoints = self.keypoints(one), self.keypoints(other)
        verified = verify(photos, keypoints, raw, max_error_px, self._config.min_matches, self._config.seed)
        features = self.features(one), self.features(other)
        evidence = measure(self._matcher.name, photos, features, keypoints, raw, verified, max_error_px)
        return Pair(len(raw), verified, evidence)


def match_photos(folder: Path, config: MatchingConfig, out: Path, progress: Progress) -> None:
    """See `recon.matching.run`."""
    matcher = _choose_matcher(config, progress)
    session = _Session(folder, matcher, config)
    quarters, pairs = _match_all(session, matcher, config, progress)
    count = len(session.photos)
    if any(photo.mask for photo in session.photos) and tied(count, pairs) < count:
        whole = _Session(folder, matcher, config, masked=False)
        whole_quarters, whole_pairs = _match_all(whole, matcher, config, progress)
        keypoints = [whole.keypoints(turned) for turned in enumerate(whole_quarters)]
        long_sides = [max(photo.width, photo.height) for photo in whole.photos]
        if tied(count, whole_pairs) > tied(count, pairs) and moves(keypoints, long_sides, whole_pairs):
            reason = f"what the masks leave ties {tied(count, pairs)} of {count} photos for certain"
            progress.fallback("what the masks leave", "whole photos for matching", reason)
            session, quarters, pairs = whole, whole_quarters, whole_pairs
    most = count * (count - 1) // 2
    progress.note(f"{len(pairs)} of {most} pairs of {count} photos were matched by {matcher.name}.")
    turned_deg = {session.photos[i].name: 90 * q for i, q in enumerate(quarters) if q}
    masks_hide = any(photo.mask for photo in session.photos)
    progress.tell(MatchingFacts(turned_deg, matcher.name, f"{len(pairs)} of {most}", masks_hide))
    _write(out, session, quarters, pairs, matcher.name)


def _match_all(
    session: _Session, matcher: Matcher, config: MatchingConfig, progress: Progress
) -> tuple[list[int], dict[tuple[int, int], Pair]]:
    """How far each photo was turned, and the pairs worth it."""
    count = len(session.photos)
    quarters = [0] * count
    for i in range(count):
        progress.step(i, count, "photo")
        session.features((i, 0))
    progress.step(count, count, "photo")
    pairs: dict[tuple[int, int], Pair] = {}
    _match_chosen(session, quarters, pairs, config, progress)
    if matcher.turns:
        quarters = find_turns(count, pairs, session.affinity, session.match, progress)
        # What matched without the turn is wrong, even where the turn brings less; and within a turned group,
        # the network finds other keypoints in the turned photos.
        pairs = {(a, b): pair for (a, b), pair in pairs.items() if not (quarters[a] or quarters[b])}
        _match_chosen(session, quarters, pairs, config, progress)
    return quarters, pairs


def _match_chosen(
    session: _Session,
    quarters: list[int],
    pairs: dict[tuple[int, int], Pair],
    config: MatchingConfig,
    progress: Progress,
) -> None:
    """Match the pairs worth it that are not matched yet, photos turned as `quarters` says."""
    descriptors = [np.asarray(session.features(turned).descriptors) for turned in enumerate(quarters)]
    chosen = choose_pairs(descriptors, _sequences(session.photos), config.neighbours, config.window)
    new = [pair for pair in chosen if pair not in pairs]
    for done, (a, b) in enumerate(new):
        progress.step(done, len(new), "pair")
        pairs[a, b] = session.match((a, quarters[a]), (b, quarters[b]))
    progress.step(len(new), len(new), "pair")


def _sequences(photos: list[Photo]) -> list[int]:
    """Frames of one video belong together; so do all photos, which are in the order of their names."""
    videos = sorted({photo.sha256 for photo in photos if photo.time_s is not None})
    return [videos.index(photo.sha256) if photo.time_s is not None else -1 for photo in photos]


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
    photos = session.photos
    for turned in enumerate(quarters):
        save_keypoints(out, photos[turned[0]].key, session.keypoints(turned), session.features(turned).scores)
    entries = []
    for (a, b), pair in sorted(pairs.items()):
        one, other, found = photos[a], photos[b], pair.verified
        count = len(found.matches)
        entries.append(
            MatchedPair(one.name, other.name, pair.raw, count, found.model, found.median_angle_deg, pair.evidence)
        )
        save_matches(out, (one.key, other.key), found.matches.pairs, found.matches.confidence)
    save_pairs(out, matcher, entries)
