"""Keypoints of every kind of file arrive as the same detections; what is wrong is named."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
import types
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
import pytest
from small_rig import SIZE, people_of, ring, seen_by, walker, write_openpose

from fewview.calibration.artifact import Take, load_takes
from fewview.calibration.detect import blazepose
from fewview.calibration.detect.choice import choose_detector
from fewview.calibration.detect.crops import Region, cut
from fewview.calibration.detect.detector import make_detectors
from fewview.calibration.detect.videos import frames_of, video_facts
from fewview.calibration.inputs.skeletons import SKELETONS
from fewview.calibration.keypoints import KeypointsConfig, run
from fewview.calibration.observations import Detections
from fewview.calibration.skeleton import INDEX, JOINTS
from fewview.recon.errors import EnvironmentFault, InputError
from fewview.recon.progress import LogProgress

FORMS = ("COCO_17", "HALPE_26", "BODY_25", "BODY_25B")


@pytest.fixture(scope="module")
def seen() -> list[Detections]:
    """Four cameras; a person is missing in some frames, and a joint here and there."""
    xyz = walker()
    cameras = [seen_by(view, xyz) for view in ring()]
    for k, each in enumerate(cameras):
        for where in ((3 + k,), (7, 0, 9), (8, 0, slice(11, 14))):
            each.xy[where], each.confidence[where] = np.nan, 0
    return cameras


def _load(out: Path, *takes: Path, **options: object) -> list[Take]:
    out.mkdir()
    run({}, KeypointsConfig(takes=takes, **options), out, LogProgress())  # type: ignore[arg-type]
    return load_takes(out)


def _refused(out: Path, *takes: Path, **options: object) -> str:
    with pytest.raises(InputError) as refused:
        _load(out, *takes, **options)
    return str(refused.value)


def _same(found: list[Detections], truth: list[Detections], joints: set[int], tolerance: float = 1e-3) -> None:
    assert [each.camera for each in found] == [each.camera for each in truth]
    absent = [j for j in range(len(JOINTS)) if j not in joints]
    for a, b in zip(found, truth, strict=True):
        assert a.size == b.size
        frames = len(b.xy)
        keep = sorted(joints)
        assert np.allclose(a.xy[:frames, :, keep], b.xy[:, :, keep], atol=tolerance, equal_nan=True)
        assert np.allclose(a.confidence[:frames, :, keep], b.confidence[:, :, keep], atol=1e-6)
        assert np.isnan(a.xy[:, :, absent]).all()
        assert not a.confidence[:, :, absent].any()


@pytest.mark.parametrize("skeleton", FORMS)
def test_openpose_folders_of_every_skeleton(seen: list[Detections], skeleton: str, tmp_path: Path) -> None:
    for each in seen:
        people = people_of(each, skeleton)
        write_openpose(tmp_path / "in" / f"{each.camera}_json", people, first=5)
    take = _load(tmp_path / "out", tmp_path / "in", sizes=("640x480",), fps=(30.0,))[0]
    _same(take.detections, seen, {INDEX[name] for name in SKELETONS[skeleton].places})


def test_missing_files_are_frames_without_people(seen: list[Detections], tmp_path: Path) -> None:
    for each in seen:
        write_openpose(tmp_path / "in" / each.camera, people_of(each, "BODY_25B"))
    (tmp_path / "in" / "cam02" / "cam02_000000000010_keypoints.json").unlink()
    found = _load(tmp_path / "out", tmp_path / "in", sizes=("640x480",))[0].detections[1]
    assert len(found.xy) == len(seen[1].xy)
    assert np.isnan(found.xy[10]).all()
    assert np.isfinite(found.xy[11]).any()


def test_coco_files_say_their_size(seen: list[Detections], tmp_path: Path) -> None:
    for k, each in enumerate(seen):
        people = people_of(each, "COCO_17")
        results = [
            {"image_id": t, "category_id": 1, "score": 0.9, "keypoints": person.ravel().tolist()}
            for t, persons in enumerate(people)
            for person in persons
            if person[:, 2].any()
        ]
        images = [{"id": t, "file_name": f"{t:06d}.jpg", "width": 640, "height": 480} for t in range(len(people))]
        document = {"images": images, "annotations": results} if k else results  # the plain list says no size
        (tmp_path / f"{each.camera}.json").write_text(json.dumps(document))
    text = _refused(tmp_path / "refused", tmp_path)
    assert text.startswith("The image size of camera cam01 is not known.")
    (tmp_path / "refused").rmdir()
    found = _load(tmp_path / "out", tmp_path, sizes=("640x480",))[0].detections
    _same(found, seen, set(range(17)))


def test_coco_visibility_flags_are_graded(seen: list[Detections], tmp_path: Path) -> None:
    for each in seen:
        people = people_of(each, "COCO_17")
        people[..., 2] = np.where(people[..., 2] > 0, 2, 0)
        people[:, :, 5, 2] = np.minimum(people[:, :, 5, 2], 1)
        results = [{"image_id": f"{t}.jpg", "keypoints": p[0].ravel().tolist()} for t, p in enumerate(people)]
        (tmp_path / f"{each.camera}.json").write_text(json.dumps(results))
    confidence = _load(tmp_path / "out", tmp_path, sizes=("640x480",))[0].detections[0].confidence
    assert confidence[0, 0, 5] == 0.5
    assert confidence[0, 0, 6] == 1


def test_arrays_of_a_rig_and_our_own_artifact(seen: list[Detections], tmp_path: Path) -> None:
    people = np.stack([people_of(each, "COCO_17")[:, 0] for each in seen])
    people[0, 2, 4] = np.nan
    truth = [Detections(s.camera, s.size, s.fps, s.xy.copy(), s.confidence.copy()) for s in seen]
    truth[0].xy[2, 0, 4], truth[0].confidence[2, 0, 4] = np.nan, 0
    np.savez(tmp_path / "take.npz", xy=people[..., :2], conf=people[..., 2], fps=30)
    first = _load(tmp_path / "first", tmp_path / "take.npz", sizes=("640x480",))
    _same(first[0].detections, truth, set(range(17)))
    again = _load(tmp_path / "again", tmp_path / "first" / "take")
    for a, b in zip(again[0].detections, first[0].detections, strict=True):
        assert (a.camera, a.size, a.fps) == (b.camera, b.size, b.fps)
        assert np.array_equal(a.xy, b.xy, equal_nan=True)
        assert np.array_equal(a.confidence, b.confidence)


def test_sizes_from_reads_names_and_sizes_and_nothing_else(seen: list[Detections], tmp_path: Path) -> None:
    people = np.stack([people_of(each, "BODY_25B") for each in seen])
    np.savez(tmp_path / "take.npz", persons=people, fps=30)
    cameras = [{"name": f"c{k}", "size": [640, 480], "K": np.eye(3).tolist(), "R": 3, "t": None} for k in range(4)]
    (tmp_path / "cameras.json").write_text(json.dumps(cameras))
    a = _load(tmp_path / "a", tmp_path / "take.npz", sizes_from=tmp_path / "cameras.json")
    assert [each.camera for each in a[0].detections] == ["c0", "c1", "c2", "c3"]
    corrupt = [{"name": entry["name"], "size": entry["size"], "K": "corrupt", "R": []} for entry in cameras]
    (tmp_path / "cameras.json").write_text(json.dumps(corrupt))
    _load(tmp_path / "b", tmp_path / "take.npz", sizes_from=tmp_path / "cameras.json")
    for path in sorted((tmp_path / "a").rglob("*.*")):
        assert (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes() == path.read_bytes()
    ours = {"views": [{"name": f"c{k}", "width": 640, "height": 480} for k in range(3)]}
    (tmp_path / "cameras.json").write_text(json.dumps(ours))
    text = _refused(tmp_path / "c", tmp_path / "take.npz", sizes_from=tmp_path / "cameras.json")
    assert "has 3 cameras, but there are keypoints of 4. Name the file of this rig, or give --sizes." in text


def _video(path: Path, turned: int | None = None, fps: int = 30) -> None:
    """20 frames of 64x48 whose shade is their number; `turned` is the container's rotation."""
    writer = imageio_ffmpeg.write_frames(str(path), (64, 48), fps=fps, macro_block_size=None, ffmpeg_log_level="error")
    writer.send(None)
    for t in range(20):
        frame = np.full((48, 64, 3), 10 * t, np.uint8)
        frame[:24, :32] = 255
        writer.send(np.ascontiguousarray(frame))
    writer.close()
    if turned is not None:
        flat = path.with_name("flat.mp4")
        path.rename(flat)
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-display_rotation", str(turned), "-i", str(flat)]
        subprocess.run([*command, "-c", "copy", str(path)], check=True)
        flat.unlink()


def test_a_portrait_video_is_upright_and_says_size_and_rate(seen: list[Detections], tmp_path: Path) -> None:
    _video(tmp_path / "a.mp4", turned=90, fps=25)
    facts = video_facts(tmp_path / "a.mp4")
    assert (facts.width, facts.height, facts.fps, facts.frames) == (48, 64, 25.0, 20)
    frames = dict(frames_of(tmp_path / "a.mp4", 25.0))
    assert sorted(frames) == list(range(20))
    assert frames[0].shape == (64, 48, 3)
    assert frames[0][-10, 5].min() > 240  # the bright corner was turned from top left to bottom left
    (tmp_path / "rig").mkdir()
    for k, each in enumerate(seen):
        write_openpose(tmp_path / "rig" / f"cam{k + 1:02d}_json", people_of(each, "BODY_25B") / [10, 10, 1])
        _video(tmp_path / "rig" / f"cam{k + 1:02d}.mp4", fps=25 + k)
    take = _load(tmp_path / "out", tmp_path / "rig")[0]
    assert [(each.size, each.fps) for each in take.detections] == [((64, 48), 25 + k) for k in range(4)]
    assert take.videos["cam03"] == "cam03.mp4"


def test_bad_input_is_named(seen: list[Detections], tmp_path: Path) -> None:
    out = tmp_path / "out"

    def rig(name: str, cameras: list[Detections]) -> Path:
        for each in cameras:
            write_openpose(tmp_path / name / each.camera, people_of(each, "BODY_25"))
        return tmp_path / name

    def text(folder: Path, *more: Path, **options: object) -> str:
        message = _refused(out, folder, *more, **{"sizes": ("640x480",), **options})
        out.rmdir()
        return message.replace(str(tmp_path), "")

    assert text(tmp_path / "nowhere").startswith("There is no folder /nowhere. Name a folder that holds")
    assert text(rig("one", seen[:1])) == (
        "There is only one camera, cam01. Give two or more that see the same people; four or more work best."
    )
    assert text(tmp_path) == "There is no camera in . Name the folder within it: one."
    empty = rig("empty", seen[:2]) / "cam02" / "cam02_000000000004_keypoints.json"
    empty.write_text("")
    assert text(tmp_path / "empty") == (
        "/empty/cam02/cam02_000000000004_keypoints.json is empty. "
        "Delete it, or write it again: a frame without people has an empty list."
    )
    empty.write_text("{}")
    assert "cam02_000000000004_keypoints.json is not an OpenPose JSON (KeyError: 'people')." in text(tmp_path / "empty")
    for path in (tmp_path / "empty" / "cam02").iterdir():
        path.write_text('{"people": []}')
    assert text(tmp_path / "empty") == (
        "No person is in any frame of /empty/cam02. Leave this camera out, or detect people again."
    )
    for path in (tmp_path / "empty" / "cam02").iterdir():
        path.write_text(json.dumps({"people": [{"pose_keypoints_2d": [float("nan")] * 75}]}))
    assert text(tmp_path / "empty") == (
        "No person is seen by camera cam02: all its keypoints are absent, zero or not a number. "
        "Leave this camera out, or detect people again."
    )
    whole = rig("whole", seen)
    assert re.fullmatch(
        r"\d+% of the keypoints of camera cam01 lie outside its images of 320x240: they reach x = \d+, y = \d+. "
        r"Correct the size \(are width and height swapped\?\), or the order of the cameras.",
        text(whole, sizes=("320x240",)),
    )
    assert text(whole, sizes=("640",)) == "--sizes 640 is not WIDTHxHEIGHT. Give pixels, such as 1920x1080."
    assert text(whole, sizes=("640x480",) * 3) == ("--sizes has 3 values for 4 cameras. Give one, or one a camera.")
    copied = rig("copied", [seen[0], Detections("cam02", SIZE, 30.0, seen[0].xy, seen[0].confidence)])
    assert text(copied) == (
        "Cameras cam01 and cam02 hold the same keypoints. One folder was copied over the other: restore it."
    )
    assert text(whole, rig("three", seen[:3])) == (
        "Take three is by cameras cam01, cam02, cam03, but whole by cam01, cam02, cam03, cam04. "
        "Give takes by the same cameras, named alike."
    )
    people = people_of(seen[0], "BODY_25")[..., :20, :]
    write_openpose(tmp_path / "odd" / "a", people)
    write_openpose(tmp_path / "odd" / "b", people)
    assert text(tmp_path / "odd").startswith("The people in /odd/a have 20 joints each. Known skeletons: COCO_17 (17),")


def test_blazepose_follows_and_finds_again() -> None:
    """Geometry of the crop and of the decoding, against networks whose answers are known."""
    assert blazepose.anchors().shape == (2254, 2)
    image = np.zeros((400, 300, 3), np.uint8)
    hips, reach = np.array([150.0, 220.0]), np.array([190.0, 150.0])
    region = blazepose.region_around(hips, reach)
    M = region.to_image(256)
    assert np.allclose(M @ [128, 128, 1], hips)
    # `reach` lies straight above the centre, at 1 / 1.25 of the way to the crop's border.
    assert np.allclose(M @ [128, 128 - 128 / 1.25, 1], reach)
    cv2.circle(image, (190, 150), 6, (255, 255, 255), -1)
    crop = cut(image, region, 256)
    row, column = np.unravel_index(crop[..., 0].argmax(), crop.shape[:2])
    assert np.hypot(column - 128, row - 128 + 128 / 1.25) < 16

    class Network:
        def __init__(self, answers: list[np.ndarray]) -> None:
            self.answers, self.calls = answers, 0

        def get_input_details(self) -> list[dict[str, int]]:
            return [{"index": 0}]

        def get_output_details(self) -> list[dict[str, int]]:
            return [{"index": k} for k in range(len(self.answers))]

        def set_tensor(self, index: int, value: np.ndarray) -> None:
            assert value.dtype == np.float32

        def invoke(self) -> None:
            self.calls += 1

        def get_tensor(self, index: int) -> np.ndarray:
            return self.answers[index]

    best = 1000
    boxes, scores = np.zeros((1, 2254, 12), np.float32), np.full((1, 2254, 1), -9.0, np.float32)
    whole = Region(np.array([150.0, 200.0]), 400.0, 0.0).to_image()
    unit = np.linalg.solve(whole[:, :2], np.stack([hips, reach], axis=1) - whole[:, 2:]).T
    boxes[0, best, 2:4] = 100
    boxes[0, best, 4:8] = ((unit - blazepose.anchors()[best]) * 224).ravel()
    scores[0, best] = 5
    points = np.zeros((39, 5), np.float32)
    points[:, :2], points[:, 3:] = 128, 9
    points[0, :2] = 128, 128 - 128 / 1.25
    points[34, :2] = 128, 128 - 128 / 1.25
    flat = np.full((1, 64, 64, 39), -9, np.float32)
    detector = Network([boxes, scores])
    landmarks = Network([points.reshape(1, -1), np.array([[0.9]]), np.zeros(1), flat, np.zeros(1)])
    follow = blazepose.BlazePose(detector, landmarks)
    for _ in range(3):
        (person,) = follow(image)
        assert np.allclose(person[0, :2] + 0.5, reach, atol=1e-3)
        assert np.allclose(person[23, :2] + 0.5, hips, atol=1e-3)
    assert (detector.calls, landmarks.calls) == (1, 3), "it followed the person"
    landmarks.answers[1] = np.array([[0.1]])
    assert follow(image) == []
    assert (detector.calls, landmarks.calls) == (2, 5), "lost, so it looked again"


def test_rtmlib_is_asked_for_all_people_and_its_absence_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rtmlib", None)
    with pytest.raises(EnvironmentFault) as refused:
        make_detectors("rtmlib", LogProgress())
    assert refused.value.what.startswith("Detecting people needs rtmlib, which cannot be imported (")
    assert refused.value.remedy == "pip install rtmlib onnxruntime, or use --detector blazepose."

    def model(bgr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert bgr[0, 0].tolist() == [3, 2, 1]
        return np.ones((3, 26, 2)), np.stack([np.full(26, 0.9), np.full(26, 0.1), np.full(26, 0.5)])

    fake = types.SimpleNamespace(BodyWithFeet=lambda **options: model)
    monkeypatch.setitem(sys.modules, "rtmlib", fake)  # type: ignore[arg-type]
    detector = make_detectors("rtmlib", LogProgress())()
    people = detector(np.full((4, 4, 3), (1, 2, 3), np.uint8))
    assert detector.skeleton == "HALPE_26"
    assert [(person.shape, float(person[0, 2])) for person in people] == [((26, 3), 0.9), ((26, 3), 0.5)]


def test_several_people_in_two_cameras_ask_for_movenet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for MoveNet sees two people in upright pictures, and one in lying ones."""
    lying, upright = tmp_path / "lying.mp4", tmp_path / "upright.mp4"
    _video(lying)
    _video(upright, turned=90)
    looks = []

    class Two:
        def search(self, rgb: np.ndarray) -> list[np.ndarray]:
            looks.append(int(rgb[-1, -1, 0]))
            return [np.zeros((17, 3))] * (2 if rgb.shape[0] > rgb.shape[1] else 1)

    monkeypatch.setattr("fewview.calibration.detect.movenet.load_movenet", lambda progress: Two)
    progress = LogProgress()
    assert choose_detector([("a", upright), ("b", upright), ("c", lying)], progress) == "movenet"
    assert np.allclose(looks[:6], [0, 30, 70, 110, 150, 190], atol=8), "from all over the video"
    assert choose_detector([("a", upright), ("b", lying), ("c", lying)], progress) == "blazepose"

    def fails(progress: LogProgress) -> None:
        raise EnvironmentFault("npm did not deliver.", "Connect.")

    monkeypatch.setattr("fewview.calibration.detect.movenet.load_movenet", fails)
    assert choose_detector([("a", upright), ("b", upright)], progress) == "blazepose"
    assert progress.fallbacks == [
        {"wanted": "several people by MoveNet", "used": "one person by BlazePose",
         "reason": "npm did not deliver. Connect."}
    ]  # fmt: skip


@pytest.mark.data
def test_blazepose_agrees_with_openpose_on_a_real_video(mocap: Path) -> None:
    folder = mocap / "pose2sim_single"
    truth = SKELETONS["BODY_25B"].to_common(np.load(folder / "body25b.npz")["persons"][2])
    detector = make_detectors("blazepose", LogProgress())()
    for number, rgb in itertools.islice(frames_of(folder / "videos" / "cam03.mp4", 60.0), 5):
        (person,) = detector(rgb)
        found = SKELETONS["BLAZEPOSE_33"].to_common(person)
        distance = np.linalg.norm(found[:, :2] - truth[number, :, :, :2], axis=-1)
        distance[truth[number, :, :, 2] < 0.3] = np.nan
        # The athlete is a thousand pixels tall, and the two put joints at different places of the body.
        assert np.nanmin([np.nanmedian(row) for row in distance if np.isfinite(row).any()]) < 25
