"""Whether a run worked, in a sentence, and what to photograph next."""

from __future__ import annotations

from collections.abc import Sequence

from fewview.apps.results.model import PhotoResult, Rig, StageResult
from fewview.recon.dag.verdict import RunVerdict
from fewview.recon.sfm import STAGE as CAMERAS

_LIKELY = 0.8
_THIN_OVERLAP = 0.4
_LOOSE_PX = 2.0
_THIN_DEPTH = 0.2
_POOR_DB = 20.0
"""A photo beyond one of these is warned of: probability that its place is right, share seen by others, reprojection
error, verified depth, PSNR of its render."""
_NAMED = 5
"""More photos than this are counted, not named."""


def judge(
    state: str, until: str | None, stages: Sequence[StageResult], photos: Sequence[PhotoResult], rig: Rig | None
) -> RunVerdict:
    """The one judge of a run: of the console, the manifest, batches, the report and the app.

    The first failed stage is the one that is named.
    """
    warnings = tuple(_warnings(stages, photos, rig))
    left_out = tuple(_left_out(photos, rig))
    failed = next((stage for stage in stages if stage.status == "failed"), None)
    if state in ("running", "interrupted"):
        at = next((stage.name for stage in stages if stage.status in ("running", "failed", "planned")), stages[-1].name)
        stopped = "was interrupted" if state == "interrupted" else "has not ended, or was killed,"
        sentence = f"The run {stopped} at stage `{at}`; the same command continues it."
        return RunVerdict("failed", f"failed: {sentence}", sentence, warnings, left_out)
    if failed is not None and failed.failure is not None:
        kept = [stage.name for stage in stages if stage.finished]
        sentence = f"Stage `{failed.name}` failed: {failed.failure.message}"
        sentence += f" What was done before is kept: {', '.join(kept)}." if kept else ""
        return RunVerdict("failed", f"failed: {sentence}", sentence, warnings, left_out)
    if state != "complete":
        sentence = "The run failed between its stages; the same command continues it."
        return RunVerdict("failed", f"failed: {sentence}", sentence, warnings, left_out)
    parts = [part for part in (_of_rig(rig), _of_photos(photos)) if part]
    made = f"the run stopped after `{until}`, as asked" if until else "every result was made"
    sentence = f"{', '.join(parts)}{' and ' if parts else ''}{made}."
    if doubts := _whole_doubts(stages, photos, rig):
        return RunVerdict("doubtful", f"do not rely on it: {'; '.join(doubts)}", sentence, warnings, left_out)
    if warnings:
        rest = f" ({len(warnings) - 1} more in the report)" if len(warnings) > 1 else ""
        return RunVerdict("usable", f"usable, but: {warnings[0]}{rest}", sentence, warnings, left_out)
    return RunVerdict("good", "good", sentence)


def next_photos(advice: Sequence[str], photos: Sequence[PhotoResult]) -> tuple[str, ...]:
    """The advice of the cameras, then photos whose depth too little confirms."""
    thin = [photo for photo in photos if photo.depth_verified is not None and photo.depth_verified < _THIN_DEPTH]
    if not thin:
        return tuple(advice)
    thin.sort(key=lambda photo: photo.depth_verified or 0.0)
    names = ", ".join(photo.name for photo in thin[:_NAMED]) + (" and others" if len(thin) > _NAMED else "")
    return (*advice, f"Too little confirms the depth of {names}: take the same again, a step to the side of each.")


def _of_rig(rig: Rig | None) -> str:
    if rig is None:
        return ""
    placed = sum(camera.placed for camera in rig.cameras)
    return f"{_all_of(placed, len(rig.cameras), 'camera')} calibrated"


def _of_photos(photos: Sequence[PhotoResult]) -> str:
    known = [photo for photo in photos if photo.registered is not None]
    if not known:
        return f"{len(photos)} photos were read" if photos else ""
    return f"{_all_of(sum(photo.registered is True for photo in known), len(known), 'photo')} placed"


def _all_of(some: int, all_: int, what: str) -> str:
    return f"All {all_} {what}s were" if some == all_ else f"{some} of {all_} {what}s were"


def _left_out(photos: Sequence[PhotoResult], rig: Rig | None) -> list[str]:
    without = [f"{photo.name}: {photo.reason}" for photo in photos if photo.registered is False]
    cameras = rig.cameras if rig is not None else ()
    return without + [f"{camera.name}: {camera.reason}" for camera in cameras if not camera.placed]


def _whole_doubts(stages: Sequence[StageResult], photos: Sequence[PhotoResult], rig: Rig | None) -> list[str]:
    """What speaks against all of a run that came to its end, a clause each."""
    said = []
    # Files that could not be read say nothing of how the others go together.
    tried = [photo for photo in photos if photo.registered is not None and photo.image is not None]
    placed = [photo for photo in tried if photo.registered]
    if 2 * len(placed) < len(tried):
        said.append(f"only {len(placed)} of {len(tried)} photos go together")
    guessed = [photo for photo in placed if photo.probability is not None and photo.probability < 0.5]
    if placed and 2 * len(guessed) > len(placed):
        said.append(f"the places of {len(guessed)} of {len(placed)} photos are more probably wrong than right")
    loose = [photo for photo in placed if photo.reprojection_px is not None and photo.reprojection_px > _LOOSE_PX]
    if placed and 2 * len(loose) > len(placed):
        said.append(f"the points of {len(loose)} of {len(placed)} photos lie more than {_LOOSE_PX:g} px off")
    if _doubted(stages):
        said.append("what the photos share contradicts their given poses")
    if rig is not None and 2 * sum(camera.placed for camera in rig.cameras) < len(rig.cameras):
        said.append("most cameras could not be calibrated")
    return said


def _doubted(stages: Sequence[StageResult]) -> list[tuple[str, str]]:
    """Photos whose given poses are."""
    return [names for stage in stages if stage.name == CAMERAS.name for names in stage.told(CAMERAS).doubted_given]


def _warnings(stages: Sequence[StageResult], photos: Sequence[PhotoResult], rig: Rig | None) -> list[str]:
    said = [fallback.sentence for stage in stages for fallback in stage.fallbacks]
    for names in _doubted(stages):
        said.append(f"What {' and '.join(names)} share contradicts their given poses, which were kept.")
    left_out = [photo for photo in photos if photo.registered is False]
    said += [f"{photo.name} was left out: {photo.reason}" for photo in left_out[:_NAMED]]
    if len(left_out) > _NAMED:
        said.append(f"{len(left_out) - _NAMED} more photos were left out.")
    doubts = [doubt for photo in photos for doubt in _doubts(photo)]
    said += doubts[:_NAMED]
    if len(doubts) > _NAMED:
        said.append(f"{len(doubts) - _NAMED} more doubts stand in the table of photos.")
    if rig is not None:
        said += [f"Camera {each.name} was not placed: {each.reason}" for each in rig.cameras if not each.placed]
        said += rig.warnings
    return said


def _doubts(photo: PhotoResult) -> list[str]:
    """What speaks against a photo that was placed."""
    said = []
    if photo.probability is not None and photo.probability < _LIKELY:
        said.append(f"The place of {photo.name} is right with a probability of {photo.probability:.0%} only.")
    if photo.overlap is not None and photo.overlap < _THIN_OVERLAP:
        said.append(f"Other photos see only {photo.overlap:.0%} of what {photo.name} shows.")
    if photo.reprojection_px is not None and photo.reprojection_px > _LOOSE_PX:
        said.append(f"The points of {photo.name} lie {photo.reprojection_px:.1f} px off on average.")
    if photo.depth_verified is not None and photo.depth_verified < _THIN_DEPTH:
        said.append(f"Only {photo.depth_verified:.0%} of the depth of {photo.name} is confirmed; the rest is a guess.")
    if photo.psnr_db is not None and not photo.held_out and photo.psnr_db < _POOR_DB:
        said.append(f"The splats do not look like {photo.name} ({photo.psnr_db:.1f} dB).")
    return said
