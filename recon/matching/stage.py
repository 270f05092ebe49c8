"""The stage's course: keypoints, the pairs worth it, verification, turned photos, files."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from fewview.recon.errors import EnvironmentFault
from fewview.recon.matching import MatchingConfig, MatchingFacts, SecondLook
from fewview.recon.matching.aliked import AlikedLightGlue
from fewview.recon.matching.artifact import MatchedPair, MatchedPairs, save_keypoints, save_matches, save_pairs
from fewview.recon.matching.evidence import measure
from fewview.recon.matching.features import Features, Matcher, Matches, turn_features, turn_image
from fewview.recon.matching.fisheye import Tried, find_fisheyes
from fewview.recon.matching.masks import moves, tied
from fewview.recon.matching.retrieval import choose_pairs
from fewview.recon.matching.second_look import MORE_KEYPOINTS, weak_pairs
from fewview.recon.matching.sift import Sift
from fewview.recon.matching.turns import Pair, Turned, find_turns
from fewview.recon.matching.verification import verify
from fewview.recon.photos import Photo, load_photos
from fewview.recon.progress import Progress
from fewview.recon.scene import Camera

MOST_ENLARGED = 2.0
"""Times that a small photo is enlarged at most for matching."""


class _Session:
    """Photos with their keypoints, found when first needed, each way up that is asked for."""

    def __init__(self, folder: Path, matcher: Matcher, config: MatchingConfig, masked: bool = True) -> None:
        self.photos = load_photos(folder)
        self.masked = masked
        if not masked:
            self.photos = [replace(photo, mask=None) for photo in self.photos]
        self._images = [_working_image(photo, folder, config.long_side) for photo in self.photos]
        self.matcher, self._config = matcher, config
        self._found: dict[Turned, Features] = {}
        self._raw: dict[tuple[Turned, Turned], Matches] = {}
        self.fisheyes: dict[str, float] = {}
        """Focal lengths in long sides, by camera group (`fewview.recon.matching.fisheye`)."""

    def features(self, turned: Turned) -> Features:
        """In pixels of the working image as it is turned."""
        if turned not in self._found:
            (image, mask), quarters = self._images[turned[0]], turned[1]
            self._found[turned] = self.matcher.detect(
                turn_image(image, quarters), None if mask is None else turn_image(mask, quarters)
            )
        return self._found[turned]

    def keypoints(self, turned: Turned) -> Float[np.ndarray, "N 2"]:
        """In pixels of the upright original."""
        photo, upright = self.photos[turned[0]], turn_features(self.features(turned), -turned[1])
        scale = np.array([photo.width / upright.width, photo.height / upright.height])
        return (upright.keypoints * scale).astype(np.float32)

    def raw(self, one: Turned, other: Turned) -> Matches:
        """As the matcher finds them."""
        if (one, other) not in self._raw:
            self._raw[one, other] = self.matcher.match(self.features(one), self.features(other))
        return self._raw[one, other]

    def _as_pinhole(self, turned: Turned) -> tuple[Photo, Float[np.ndarray, "N 2"]]:
        """The photo and its keypoints as a pinhole would have them."""
        photo, xy = self.photos[turned[0]], self.keypoints(turned)
        if photo.camera_group not in self.fisheyes:
            return photo, xy
        focal = self.fisheyes[photo.camera_group] * max(photo.width, photo.height)
        lens = Camera(photo.width, photo.height, focal, focal, photo.width / 2, photo.height / 2, fisheye=True)
        uv = lens.undistorted(xy.astype(np.float64))
        return replace(photo, focal_px=focal), (uv * focal + [lens.cx, lens.cy]).astype(np.float32)

    def affinity(self, one: Turned, other: Turned) -> int:
        return self.matcher.affinity(self.features(one), self.features(other))

    def match(self, one: Turned, other: Turned) -> Pair:
        raw = self.raw(one, other)
        a, b = self._as_pinhole(one), self._as_pinhole(other)
        photos = a[0], b[0]
        # The tolerance is that of the images that keypoints were found in; the larger photo decides.
        features, keypoints = (self.features(one), self.features(other)), (a[1], b[1])
        sides = zip(photos, features, strict=True)
        scale = max(max(p.width, p.height) / max(f.width, f.height) for p, f in sides)
        max_error_px = self._config.max_error_px * scale
        verified = verify(photos, keypoints, raw, max_error_px, self._config.min_matches, self._config.seed)
        evidence = measure(self.matcher.name, photos, features, keypoints, raw, verified, max_error_px)
        return Pair(len(raw), verified, evidence)


def match_photos(folder: Path, config: MatchingConfig, out: Path, progress: Progress) -> None:
    """See `fewview.recon.matching.run`."""
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
            reason = f"what the masks leave ties {tied(count, pairs)} of {count} photos"
            progress.fallback("what the masks leave", "whole photos for matching", reason)
            session, quarters, pairs = whole, whole_quarters, whole_pairs
    _look_for_fisheyes(session, quarters, pairs, config, progress)
    second = _look_again(folder, session, quarters, pairs, config, progress)
    most = count * (count - 1) // 2
    progress.note(f"{len(pairs)} of {most} pairs of {count} photos were matched by {matcher.name}.")
    turned_deg = {session.photos[i].name: 90 * q for i, q in enumerate(quarters) if q}
    masks_hide = any(photo.mask for photo in session.photos)
    progress.tell(MatchingFacts(turned_deg, matcher.name, f"{len(pairs)} of {most}", masks_hide))
    _tell_still(session.photos, pairs, progress)
    _write(out, session, quarters, pairs, matcher.name, second)


def _tell_still(photos: list[Photo], pairs: dict[tuple[int, int], Pair], progress: Progress) -> None:
    """What was burnt into photos and would have matched."""
    still = {key: pair.verified.still for key, pair in sorted(pairs.items()) if pair.verified.still}
    if still:
        progress.note(
            f"{sum(still.values())} matches of {len(still)} pairs of photos do not move while others do: something is"
            " burnt into the photos, as a logo or the time. They are not used."
        )
        named = {f"{photos[a].name}, {photos[b].name}": count for (a, b), count in still.items()}
        progress.tell(MatchingFacts(still=named))


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


def _look_for_fisheyes(
    session: _Session,
    quarters: list[int],
    pairs: dict[tuple[int, int], Pair],
    config: MatchingConfig,
    progress: Progress,
) -> None:
    """Verify the pairs of cameras with a fisheye anew."""
    upright = [(a, quarters[a]) for a in range(len(quarters))]
    tried = [
        Tried((a, b), session.raw(upright[a], upright[b]).pairs, len(pair.verified.matches))
        for (a, b), pair in sorted(pairs.items())
    ]
    keypoints = [session.keypoints(turned) for turned in upright]
    error_share = config.max_error_px / config.long_side
    session.fisheyes = find_fisheyes(session.photos, keypoints, tried, error_share, config.seed)
    progress.tell(MatchingFacts(fisheyes={group: round(focal, 3) for group, focal in session.fisheyes.items()}))
    for group in session.fisheyes:
        progress.note(f"A fisheye lens explains more of what these photos share: {group}.")
    for a, b in pairs:
        if any(session.photos[i].camera_group in session.fisheyes for i in (a, b)):
            pairs[a, b] = session.match(upright[a], upright[b])


@dataclass(frozen=True)
class _SecondLook:
    """Pairs in which more keypoints found more."""

    session: _Session
    photos: frozenset[int]
    """Those whose keypoints it looked for."""
    pairs: dict[tuple[int, int], Pair]


def _look_again(
    folder: Path,
    session: _Session,
    quarters: list[int],
    pairs: dict[tuple[int, int], Pair],
    config: MatchingConfig,
    progress: Progress,
) -> _SecondLook | None:
    """At photos that hardly match, with more keypoints; None where all hang together."""
    weak = weak_pairs(len(quarters), pairs) if session.matcher.name != Sift.name else []
    if not weak:
        return None
    start = time.perf_counter()
    keypoints = MORE_KEYPOINTS * config.keypoints
    second = _Session(folder, AlikedLightGlue(keypoints, progress), config, session.masked)
    second.fisheyes = session.fisheyes
    better = {}
    for done, (a, b) in enumerate(weak):
        progress.step(done, len(weak), "pair, second look")
        found = second.match((a, quarters[a]), (b, quarters[b]))
        if found.verified.matches.certain > pairs[a, b].verified.matches.certain:
            better[a, b] = found
    progress.step(len(weak), len(weak), "pair, second look")
    photos = frozenset(i for pair in weak for i in pair)
    seconds = round(time.perf_counter() - start, 1)
    progress.tell(MatchingFacts(second_look=SecondLook(keypoints, len(photos), len(weak), len(better), seconds)))
    progress.note(f"{keypoints} keypoints found more in {len(better)} of {len(weak)} pairs that hardly matched.")
    return _SecondLook(second, photos, better)


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
    scale = min(long_side / max(width, height), MOST_ENLARGED)
    size = round(width * scale), round(height * scale)
    if size != (width, height):
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        if mask is not None:
            mask = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    return image, mask


def _write(
    out: Path,
    session: _Session,
    quarters: list[int],
    pairs: dict[tuple[int, int], Pair],
    matcher: str,
    second: _SecondLook | None,
) -> None:
    """Keypoints of the second look follow those of the first."""
    photos = session.photos
    for turned in enumerate(quarters):
        looks = [session, second.session] if second is not None and turned[0] in second.photos else [session]
        keypoints = np.concatenate([look.keypoints(turned) for look in looks])
        scores = np.concatenate([look.features(turned).scores for look in looks])
        save_keypoints(out, photos[turned[0]].key, keypoints, scores)
    entries = []
    for (a, b), pair in sorted(pairs.items()):
        first = [len(session.features((i, quarters[i])).keypoints) for i in (a, b)]
        offset, again = np.zeros(2, np.int32), second.pairs.get((a, b)) if second is not None else None
        if again is not None:
            pair, offset = again, np.array(first, np.int32)
        one, other, found = photos[a], photos[b], pair.verified
        count = len(found.matches)
        entries.append(
            MatchedPair(
                one.name,
                other.name,
                pair.raw,
                count,
                found.model,
                found.median_angle_deg,
                pair.evidence,
                None if pair.log_odds is None else round(pair.log_odds, 4),
                found.turned_share,
            )
        )
        save_matches(out, (one.key, other.key), found.matches.pairs + offset, found.matches.confidence)
    save_pairs(out, MatchedPairs(matcher, tuple(entries), session.fisheyes))
