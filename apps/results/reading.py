"""Reads the folder of a run, however far it came."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fewview.apps.results.files import result_files
from fewview.apps.results.judging import judge, next_photos
from fewview.apps.results.model import (
    Failure,
    Fallback,
    PairResult,
    Results,
    Rig,
    RigCamera,
    Room,
    StageResult,
    Training,
    WeightsUsed,
)
from fewview.apps.results.photos import read_photos
from fewview.calibration.artifact import RigRecord, load_rig
from fewview.calibration.keypoints import STAGE as KEYPOINTS
from fewview.calibration.stage import STAGE as MOTION
from fewview.layout import STAGE as LAYOUT
from fewview.layout import LayoutFacts
from fewview.recon.dag.artifact import read_record
from fewview.recon.dag.manifest import SCHEMA
from fewview.recon.errors import InputError
from fewview.recon.io.cameras import CameraSet, read_cameras
from fewview.recon.io.documents import MALFORMED, read_text
from fewview.recon.io.weights import REGISTRY
from fewview.recon.matching import STAGE as MATCHES
from fewview.recon.matching.artifact import load_pairs
from fewview.recon.matching.sift import Sift
from fewview.recon.pointmaps import STAGE as POINTMAPS
from fewview.recon.scale import Scale
from fewview.recon.sfm import STAGE as CAMERAS
from fewview.splatting.artifact import read_training
from fewview.splatting.config import SPLAT


def read_results(out: Path) -> Results:
    """What the run in `out` came to. Only artifacts that belong to this run count, not those an earlier one left.

    Raises:
        InputError: `out` is not the folder of a run, or its files are not as fewview wrote them.
    """
    if not (out / "manifest.json").is_file():
        raise InputError(
            f"{out} is not the folder of a run (it has no manifest.json).",
            "Name the --out of a `fewview run` or `fewview calibrate`.",
        )
    try:
        return _read(out)
    except (OSError, *MALFORMED) as error:
        raise InputError(
            f"The results in {out} are not as fewview wrote them ({type(error).__name__}: {error}).",
            "Give the command of the run again: it makes what is damaged anew.",
        ) from error


def _read(out: Path) -> Results:
    manifest = _json(out / "manifest.json")
    if manifest["schema"] != SCHEMA:
        raise ValueError(f"schema {manifest['schema']} of manifest.json is not {SCHEMA}")
    stages = tuple(_stage(name, entry) for name, entry in manifest["stages"].items())
    done = {stage.name: stage for stage in stages if stage.finished}
    placed = next((name for name in (CAMERAS.name, MOTION.name) if name in done), None)
    cameras = read_cameras(out / placed) if placed else None
    calibrated = load_rig(out / MOTION.name) if MOTION.name in done else None
    rig = _rig(calibrated) if calibrated else None
    layout = done[LAYOUT.name].told(LAYOUT) if LAYOUT.name in done else None
    scale = _scale(cameras, layout) if cameras else None
    photos = read_photos(out, done, cameras if CAMERAS.name in done else None)
    room = _room(layout) if layout else None
    state, until = str(manifest["state"]), manifest["request"]["until"]
    return Results(
        out=out,
        program=str(manifest["program"]),
        started=str(manifest["started"]),
        state=state,
        arguments=tuple(manifest["arguments"]),
        until=until,
        digest=str(manifest["digest"]),
        environment=dict(manifest["environment"]),
        verdict=judge(state, until, stages, photos, rig),
        advice=next_photos(cameras.advice if cameras else (), photos),
        scale=scale,
        stages=stages,
        photos=photos,
        pairs=_pairs(out) if MATCHES.name in done else (),
        rig=rig,
        room=room,
        training=_training(out) if SPLAT.name in done else None,
        weights=_weights(out, done),
        files=result_files(out, done),
    )


def _json(path: Path) -> Any:
    return json.loads(read_text(path))


def _stage(name: str, entry: Mapping[str, Any]) -> StageResult:
    error = entry["error"]
    return StageResult(
        name=name,
        status=str(entry["status"]),
        reason=str(entry["reason"]),
        seconds=entry["seconds"],
        peak_mib=entry["peak_mib"],
        attempts=int(entry["attempts"]),
        fallbacks=tuple(Fallback(name, each["wanted"], each["used"], each["reason"]) for each in entry["fallbacks"]),
        failure=Failure(str(error["class"]), str(error["message"]), error["remedy"]) if error else None,
        log=entry["log"],
        facts=dict(entry["facts"]),
        config=dict(entry["config"] or {}),
    )


def _rig(record: RigRecord) -> Rig:
    residuals = record.facts["reprojection_px_by_camera"]
    names = sorted({*record.offsets_s, *record.unplaced, *residuals})
    said = {**record.facts["degeneracies"], **record.facts["untied_pairs"]}
    return Rig(
        cameras=tuple(
            RigCamera(
                name,
                name not in record.unplaced,
                record.unplaced.get(name),
                record.offsets_s.get(name),
                residuals.get(name),
            )
            for name in names
        ),
        takes=tuple(record.takes),
        warnings=tuple(f"{what}: {why}" for what, why in sorted(said.items())),
    )


def _scale(cameras: CameraSet, room: LayoutFacts | None) -> Scale:
    """That of the cameras; where it is unknown, what the room tells of it."""
    if cameras.units == "metre" or room is None or room.metre is None or room.scale_interval is None:
        return cameras.scale
    low, high = room.scale_interval
    return Scale(cameras.units, room.scale_source or "", (low, high), room.metre, bool(room.scale_guess))


def _room(told: LayoutFacts) -> Room:
    if not told.room:
        return Room(False, told.reason)
    area, height = f"{told.area_m2:.2f} m² {told.area_spread}", f"{told.height_m:.2f} m {told.height_spread}"
    return Room(True, None, told.walls or 0, told.inferred_walls or 0, area, height)


def _pairs(out: Path) -> tuple[PairResult, ...]:
    return tuple(PairResult(pair.a, pair.b, pair.verified) for pair in load_pairs(out / MATCHES.name).pairs)


def _training(out: Path) -> Training:
    record = read_training(out / SPLAT.name)
    return Training(record.backend, record.gaussians, tuple(record.steps), tuple(record.psnr_db))


def _weights(out: Path, done: Mapping[str, StageResult]) -> tuple[WeightsUsed, ...]:
    """The networks that ran: a stage's record names those of the registry that it may load, and pointmaps tell the
    licence of one that an optional package brings."""
    spared = set()
    if MATCHES.name in done and done[MATCHES.name].told(MATCHES).matcher == Sift.name:
        spared.add(MATCHES.name)
    if KEYPOINTS.name in done and done[KEYPOINTS.name].told(KEYPOINTS).frames_detected is None:
        spared.add(KEYPOINTS.name)
    digests: set[str] = set()
    for stage in done.values():
        record = None if stage.name in spared else read_record(out / stage.name)
        digests.update(record.ingredients["weights"] if record else [])
    own = [
        WeightsUsed(entry.name, entry.licence, entry.used_for, f"{entry.package} {entry.version}")
        for entry in REGISTRY.values()
        if entry.sha256 in digests
    ]
    brought = [
        WeightsUsed(name, licence.rstrip("."), f"stage `{name}`", "an optional package")
        for name in {POINTMAPS.name} & done.keys()
        if (licence := done[name].told(POINTMAPS).licence) is not None
    ]
    return (*own, *brought)
