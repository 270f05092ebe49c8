"""Finished runs that were damaged afterwards, and places that results cannot go to."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from tests.hostile.kinds import Place, kind
from tests.hostile.rigs import write_motion_run

_CHANGED = ("was changed or damaged since the run", "Give the `fewview run` command again")


def _cut(path: Path, keep: float = 0.5) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])


@kind("results", 2, "splat.ply", *_CHANGED)
def export_of_a_cut_ply(place: Place) -> list[str]:
    _cut(place.run / "splat" / "splat.ply")
    return place.export("splat")


@kind("results", 2, "splat.ply", *_CHANGED)
def export_as_spz_of_a_ply_of_nan(place: Place) -> list[str]:
    path = place.run / "splat" / "splat.ply"
    data = path.read_bytes()
    path.write_bytes(data[:-400] + b"\xff" * 400)
    return place.export("spz")


@kind("results", 2, "splat.ply", *_CHANGED)
def render_of_a_cut_ply(place: Place) -> list[str]:
    _cut(place.run / "splat" / "splat.ply")
    return ["render", str(place.run), "--to", str(place.out / "film.mp4")]


@kind("results", 2, "images.bin", *_CHANGED)
def export_of_a_cut_colmap_model(place: Place) -> list[str]:
    for folder in (place.run / "splat", place.run / "cameras"):
        _cut(folder / "sparse" / "0" / "images.bin")
    return place.export("colmap")


@kind("results", 2, "cameras.json", *_CHANGED)
def export_of_noise_for_cameras(place: Place) -> list[str]:
    for folder in (place.run / "splat", place.run / "cameras"):
        (folder / "cameras.json").write_bytes(b"[" * 100_000)
    return place.export("transforms")


@kind("results", 2, "cameras.json", *_CHANGED)
def export_where_cameras_are_gone(place: Place) -> list[str]:
    for folder in (place.run / "splat", place.run / "cameras"):
        (folder / "cameras.json").unlink()
    return place.export("transforms")


@kind("results", 2, "holds no splat: its stage `splat` has not finished")
def export_where_a_stage_is_gone(place: Place) -> list[str]:
    shutil.rmtree(place.run / "splat")
    return place.export("splat")


@kind("results", 2, "views.json", *_CHANGED)
def export_of_noise_for_photos(place: Place) -> list[str]:
    (place.run / "photos" / "views.json").write_text('{"views": [1, 2]}')
    return place.export("colmap")


@kind("results", 2, "manifest.json", "is damaged")
def export_where_the_manifest_is_noise(place: Place) -> list[str]:
    (place.run / "manifest.json").write_bytes(b"\xff{{{{")
    return place.export("colmap")


@kind("results", 2, "manifest.json", "is damaged")
def export_where_the_manifest_is_of_another_kind(place: Place) -> list[str]:
    (place.run / "manifest.json").write_text('{"sources": [1]}')
    return place.export("transforms")


@kind("results", 2, "is not the folder of a run")
def export_of_a_pipe(place: Place) -> list[str]:
    (place.run / "manifest.json").unlink()
    os.mkfifo(place.run / "manifest.json")
    return place.export()


@kind("results", 2, "has been moved or changed since the run")
def export_where_photos_have_gone(place: Place) -> list[str]:
    manifest = json.loads((place.run / "manifest.json").read_text())
    for source in manifest["sources"]["photos"]:
        source["path"] += ".gone"
    (place.run / "manifest.json").write_text(json.dumps(manifest))
    return place.export("colmap")


@kind("results", 2, "holds no splat")
def export_of_a_link_in_a_circle(place: Place) -> list[str]:
    (place.run / "splat" / "splat.ply").unlink()
    (place.run / "splat" / "splat.ply").symlink_to("splat.ply")
    return place.export("splat")


@kind("results", 1, "cannot be written", "Choose another folder with --to")
def export_to_a_read_only_place(place: Place) -> list[str]:
    return [*place.export("splat")[:2], "--to", "/sys/kernel/fewview", "--format", "splat"]


@kind("results", 1, "cannot be written", "part of its path is a file")
def export_below_a_file(place: Place) -> list[str]:
    place.out.write_text("mine")
    return [*place.export("splat")[:2], "--to", str(place.out / "to"), "--format", "splat"]


@kind("results", 2, "is not an empty folder")
def export_onto_a_file(place: Place) -> list[str]:
    place.out.write_text("mine")
    return place.export("splat")


@kind("results", 2, "is not an empty folder")
def export_onto_other_things(place: Place) -> list[str]:
    place.out.mkdir()
    (place.out / "mine.txt").touch()
    return place.export("splat")


@kind("results", 1, "cannot be written", "Choose another folder with --to")
def film_to_a_read_only_place(place: Place) -> list[str]:
    return ["render", str(place.run), "--to", "/sys/kernel/film.mp4", "--seconds", "0.1", "--size", "32x32"]


@kind("results", 2, "is not a camera path", "not a finite 4x4 matrix")
def film_along_nan(place: Place) -> list[str]:
    path = place.out.with_name("path.json")
    path.write_text(json.dumps({"frames": [{"world_from_camera": [[float("nan")] * 4] * 4}]}))
    return ["render", str(place.run), "--path", str(path), "--to", str(place.out / "film.mp4")]


@kind("results", 2, "is not a camera path: a pose is more than 1e+12 units from the origin")
def film_from_far_away(place: Place) -> list[str]:
    T = [[1, 0, 0, 1e30], [0, 1, 0, -1e300], [0, 0, 1, 1e30], [0, 0, 0, 1]]
    path = place.out.with_name("path.json")
    path.write_text(json.dumps({"width": 32, "height": 32, "frames": [{"world_from_camera": T}] * 2}))
    return ["render", str(place.run), "--path", str(path), "--to", str(place.out / "film.mp4")]


@kind("results", 2, "The results in", "are not as fewview wrote them")
def report_of_a_manifest_of_noise(place: Place) -> list[str]:
    (place.run / "manifest.json").write_text('{"schema":' + "[" * 100_000)
    return ["report", str(place.run)]


@kind("results", 2, "cameras.json lacks 'world_from_camera'")
def report_of_noise_for_cameras(place: Place) -> list[str]:
    manifest = json.loads((place.run / "manifest.json").read_text())
    manifest["stages"]["cameras"]["status"] = "ok"
    (place.run / "manifest.json").write_text(json.dumps(manifest))
    (place.run / "cameras" / "cameras.json").write_text('{"views": [{"name": 1e999}]}')
    return ["report", str(place.run)]


def _rig(place: Place, name: str, change: Any = None) -> list[str]:
    """Evaluates a calibrated rig against itself; `change` is what becomes of the bytes of a file."""
    write_motion_run(place.run)
    if change is not None:
        path = place.run / "motion" / name
        path.write_bytes(change(path.read_bytes()))
    truth = place.out.with_name("cameras.json")
    shutil.copy(place.run / "cameras" / "cameras.json", truth)
    return ["evaluate", str(place.run), "--truth", str(truth), "--motion", str(place.run / "motion" / "take.npz")]


@kind("results", 0)
def evaluation_against_itself(place: Place) -> list[str]:
    return _rig(place, "rig.json")


@kind("results", 2, "rig.json is damaged", "Calibrate again")
def evaluation_of_a_rig_of_noise(place: Place) -> list[str]:
    return _rig(place, "rig.json", lambda data: b'{"takes": 7}')


@kind("results", 2, "take.npz is not a readable npz file")
def evaluation_of_cut_motion(place: Place) -> list[str]:
    return _rig(place, "take.npz", lambda data: data[: len(data) // 2])


@kind("results", 2, "There is no", "cameras.json")
def evaluation_of_photos(place: Place) -> list[str]:
    truth = place.run / "cameras" / "cameras.json"
    return ["evaluate", str(place.run), "--truth", str(truth)]
