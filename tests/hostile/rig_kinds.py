"""Keypoints, videos and calibrations that `fewview calibrate` cannot use."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from tests.hostile.kinds import Place, kind
from tests.hostile.photo_kinds import clip


def _frames(place: Place, camera: str = "cam2") -> list[Path]:
    return sorted((place.rig / camera).glob("*.json"))


def _edit(path: Path, change: Any) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def _array(place: Place, **arrays: Any) -> list[str]:
    path = place.out.with_name("rig.npz")
    np.savez(path, **arrays)
    return ["calibrate", str(path), "--out", str(place.out), "--sizes", "640x480"]


def _people(cameras: int = 3) -> np.ndarray:
    xy = np.random.default_rng(0).uniform(50, 400, (cameras, 20, 1, 17, 2))
    return np.concatenate([xy, np.full((*xy.shape[:-1], 1), 0.9)], -1)


@kind("rig", 2, "No person is seen by camera cam2: all its keypoints are absent, zero or not a number")
def keypoints_of_nan(place: Place) -> list[str]:
    for path in _frames(place):
        _edit(path, lambda each: each["people"][0].update(pose_keypoints_2d=[float("nan")] * 75))
    return place.calibrate


@kind("rig", 2, "No person is seen by camera cam2")
def keypoints_of_infinity(place: Place) -> list[str]:
    for path in _frames(place):
        _edit(path, lambda each: each["people"][0].update(pose_keypoints_2d=[float("inf"), 1e300, 1.0] * 25))
    return place.calibrate


@kind("rig", 2, "The people in", "have 25 and 26 joints")
def keypoints_of_one_joint_more(place: Place) -> list[str]:
    _edit(_frames(place)[3], lambda each: each["people"][0]["pose_keypoints_2d"].extend([1, 2, 3]))
    return place.calibrate


@kind("rig", 2, "have 9 joints each", "Known skeletons")
def keypoints_of_an_unknown_skeleton(place: Place) -> list[str]:
    for path in _frames(place):
        _edit(path, lambda each: each["people"][0].update(pose_keypoints_2d=[5.0] * 27))
    return place.calibrate


@kind("rig", 2, "is not an OpenPose JSON")
def keypoints_not_in_threes(place: Place) -> list[str]:
    _edit(_frames(place)[0], lambda each: each["people"][0]["pose_keypoints_2d"].append(1))
    return place.calibrate


@kind("rig", 2, ".json is empty. Remedy: Delete it")
def keypoints_of_zero_bytes(place: Place) -> list[str]:
    _frames(place)[0].write_bytes(b"")
    return place.calibrate


@kind("rig", 2, "No person is in any frame of")
def keypoints_of_nobody(place: Place) -> list[str]:
    for path in _frames(place):
        path.write_text('{"people": []}')
    return place.calibrate


@kind("rig", 2, "is not an OpenPose JSON", "recursion")
def keypoints_nested_without_end(place: Place) -> list[str]:
    _frames(place)[0].write_text('{"people":' + "[" * 100_000)
    return place.calibrate


@kind("rig", 2, "are numbered 0 to 999999999999, but hold only 21 people")
def frames_numbered_in_billions(place: Place) -> list[str]:
    shutil.copy(_frames(place)[0], place.rig / "cam2" / "cam2_999999999999_keypoints.json")
    return place.calibrate


@kind("rig", 2, "There is no", "pipe")
def pipe_among_the_keypoints(place: Place) -> list[str]:
    import os

    os.mkfifo(place.rig / "cam2" / "cam2_000000000500_pipe.json")
    return place.calibrate


@kind("rig", (0, 1))
def coco_of_negative_frames(place: Place) -> list[str]:
    for path in (place.rig / f"cam{k}" for k in (1, 2, 3)):
        results = [
            {"image_id": k - 10, "keypoints": json.loads(frame.read_text())["people"][0]["pose_keypoints_2d"][:51]}
            for k, frame in enumerate(sorted(path.glob("*.json")))
        ]
        shutil.rmtree(path)
        path.with_suffix(".json").write_text(json.dumps(results))
    return place.calibrate


@kind("rig", 2, "is not a COCO JSON of keypoints")
def coco_of_nothing(place: Place) -> list[str]:
    shutil.rmtree(place.rig / "cam2")
    (place.rig / "cam2.json").write_text("{}")
    return place.calibrate


@kind("rig", 2, "Cameras cam1 and cam2 hold the same keypoints")
def camera_copied_over_another(place: Place) -> list[str]:
    shutil.rmtree(place.rig / "cam2")
    shutil.copytree(place.rig / "cam1", place.rig / "cam2")
    return place.calibrate


@kind("rig", 2, "lie outside its images of 64x48", "Correct the size")
def sizes_of_another_rig(place: Place) -> list[str]:
    return [*place.calibrate[:-1], "64x48"]


@kind("rig", 2, "--sizes 0x0 is not WIDTHxHEIGHT")
def sizes_of_nothing(place: Place) -> list[str]:
    return [*place.calibrate[:-1], "0x0"]


@kind("rig", 2, "is not a readable npz file")
def npz_cut_short(place: Place) -> list[str]:
    command = _array(place, persons=_people())
    path = place.out.with_name("rig.npz")
    path.write_bytes(path.read_bytes()[:3000])
    return command


@kind("rig", 2, "is not a readable npz file", "Object arrays cannot be loaded")
def npz_of_pickles(place: Place) -> list[str]:
    return _array(place, persons=np.array([{"a": 1}], object))


@kind("rig", 2, "The keypoints of", "have shape (2, 3)")
def npz_of_another_shape(place: Place) -> list[str]:
    return _array(place, persons=np.zeros((2, 3)))


@kind("rig", 2, "No person is seen by camera cam01")
def npz_of_nan(place: Place) -> list[str]:
    return _array(place, persons=np.full_like(_people(), np.nan))


@kind("rig", 2, "says no frame rate that is possible")
def npz_of_a_negative_frame_rate(place: Place) -> list[str]:
    return _array(place, persons=_people(), fps=-30.0)


@kind("rig", (1, 2))
def npz_of_noise(place: Place) -> list[str]:
    return _array(place, persons=_people())


@kind("rig", 2, "is not a readable npz file")
def npz_that_announces_terabytes(place: Place) -> list[str]:
    command = _array(place, persons=_people())
    path = place.out.with_name("rig.npz")
    import io
    import zipfile

    array = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        array, {"descr": "<f8", "fortran_order": False, "shape": (3, 10**6, 10**5, 17, 3)}
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("persons.npy", array.getvalue())
    return command


@kind("rig", 2, "Calib.toml is not a readable calibration")
def known_cameras_of_noise(place: Place) -> list[str]:
    path = place.out.with_name("Calib.toml")
    path.write_bytes(bytes(range(256)))
    return [*place.calibrate, "--known", str(path)]


@kind("rig", 2, "is not a readable calibration", "not finite")
def known_cameras_of_nan(place: Place) -> list[str]:
    path = place.out.with_name("Calib.toml")
    path.write_text(
        '[cam1]\nname = "cam1"\nsize = [640, 480]\nmatrix = [[nan, 0, 320], [0, 500, 240], [0, 0, 1]]\n'
        "distortions = [0, 0, 0, 0]\n"
    )
    return [*place.calibrate, "--known", str(path)]


@kind("rig", 2, "has the name of a camera")
def known_cameras_of_another_rig(place: Place) -> list[str]:
    path = place.out.with_name("Calib.toml")
    path.write_text(
        '[other]\nname = "other"\nsize = [640, 480]\nmatrix = [[500, 0, 320], [0, 500, 240], [0, 0, 1]]\n'
        "distortions = [0, 0, 0, 0]\n"
    )
    return [*place.calibrate, "--known", str(path)]


@kind("rig", 2, "intri.yml is not a readable calibration")
def known_cameras_that_overwrite_memory(place: Place) -> list[str]:
    """OpenCV's own reader of such files corrupts the heap where a matrix has no columns."""
    for name, matrix in (("intri.yml", "K_cam1"), ("extri.yml", "T_cam1")):
        place.out.with_name(name).write_text(
            f"%YAML:1.0\n---\nnames:\n   - cam1\n{matrix}: !!opencv-matrix\n   rows: 3\n"
            "   18446744073709551615: 1\n   dt: d\n   data: [ -0.25, 0., 0. ]\nH_cam1: 480\nW_cam1: 640\n"
        )
    return [*place.calibrate, "--known", str(place.out.with_name("intri.yml"))]


def _video(place: Place, data: bytes | None, frames: int = 1) -> list[str]:
    shutil.rmtree(place.rig / "cam2")
    if data is None:
        clip(place.rig / "cam2.mp4", frames)
    else:
        (place.rig / "cam2.mp4").write_bytes(data)
    for name in ("cam1", "cam3"):
        shutil.rmtree(place.rig / name)
        clip(place.rig / f"{name}.mp4", 3)
    return ["calibrate", str(place.rig), "--out", str(place.out)]


@kind("rig", 2, "cam2.mp4 is not a video that can be decoded")
def video_of_words(place: Place) -> list[str]:
    return _video(place, b"these are words\n" * 50)


@kind("rig", 2, "No person is in any frame of")
def videos_of_nobody(place: Place) -> list[str]:
    return _video(place, None)


@kind("rig", 2, "There is no camera in")
def rig_of_nothing(place: Place) -> list[str]:
    shutil.rmtree(place.rig)
    place.rig.mkdir()
    return place.calibrate
