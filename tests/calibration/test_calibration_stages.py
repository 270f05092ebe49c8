"""The stages around the solver: what they write is complete, and read by other programs."""

from __future__ import annotations

import tomllib
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pycolmap
import pytest
from scipy.io import wavfile
from small_rig import ring, seen_by, solved, walker

from fewview.calibration import stage
from fewview.calibration.artifact import RigRecord, Take, load_rig, load_takes, save_rig, save_takes
from fewview.calibration.clocks.sound import offsets_by_sound
from fewview.calibration.formats.known import read_cameras_file
from fewview.calibration.formats.motion import read_motion
from fewview.calibration.moment import MomentConfig, people_mask
from fewview.calibration.moment import run as take_pictures
from fewview.calibration.observations import Detections
from fewview.calibration.skeleton import JOINTS
from fewview.calibration.stage import MotionConfig
from fewview.recon.errors import InputError
from fewview.recon.io.cameras import read_cameras
from fewview.recon.photos import load_photos
from fewview.recon.progress import LogProgress
from fewview.recon.scene import View


@pytest.fixture
def keypoints(tmp_path: Path) -> Path:
    folder = tmp_path / "keypoints"
    folder.mkdir()
    xyz = walker()
    save_takes(folder, [Take(name, [seen_by(view, xyz) for view in ring()]) for name in ("one", "two")])
    return folder


def _calibrated(monkeypatch: pytest.MonkeyPatch, keypoints: Path, out: Path, config: MotionConfig) -> LogProgress:
    """Runs the stage around a solver that knows the truth."""
    asked = {}

    def solve(takes, settings, progress, known):  # type: ignore[no-untyped-def]
        asked.update(takes=takes, settings=settings, known=known)
        rig, motion = solved(ring(), walker())
        return rig, [motion for _ in takes]

    monkeypatch.setattr("fewview.calibration.calibrate.calibrate_takes", solve)
    out.mkdir()
    progress = LogProgress()
    stage.run({"keypoints": keypoints}, config, out, progress)
    progress.facts["asked"] = asked
    return progress


def test_motion_is_written_for_every_program(monkeypatch: pytest.MonkeyPatch, keypoints: Path, tmp_path: Path) -> None:
    out = tmp_path / "motion"
    _calibrated(monkeypatch, keypoints, out, MotionConfig())
    cameras = read_cameras(out)
    assert (cameras.units, cameras.prior, len(cameras.verdicts)) == ("metre", "keypoints", 4)
    model = pycolmap.Reconstruction(out / "sparse" / "0")
    for view in ring():
        assert np.allclose(model.find_image_with_name(view.name).projection_center(), view.center, atol=1e-9)
        assert model.find_image_with_name(view.name).camera.model_name == "OPENCV"
        for name in ("Calib.toml", "calibration.toml", "intri.yml", "cameras.json"):
            read = read_cameras_file(out / name)[view.name]
            assert isinstance(read, View)
            assert read.camera == view.camera
            assert np.allclose(read.T_world_camera, view.T_world_camera, atol=1e-9)
    assert tomllib.loads((out / "Calib.toml").read_text())["cam01"]["fisheye"] is False
    for take in ("one", "two"):
        assert np.array_equal(read_motion(out / f"{take}.npz").xyz, walker())
        assert (out / f"{take}_P1.trc").is_file()
        assert (out / f"{take}.c3d").is_file()
    assert load_rig(out).takes == ["one", "two"]
    again = tmp_path / "again"
    _calibrated(monkeypatch, keypoints, again, MotionConfig())
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        assert (again / path.relative_to(out)).read_bytes() == path.read_bytes(), path


def test_what_is_known_reaches_the_solver(monkeypatch: pytest.MonkeyPatch, keypoints: Path, tmp_path: Path) -> None:
    out = tmp_path / "motion"
    _calibrated(monkeypatch, keypoints, out, MotionConfig())
    config = MotionConfig(known=out / "Calib.toml", offsets=("cam02=-0.5",))
    asked = _calibrated(monkeypatch, keypoints, tmp_path / "again", config).facts["asked"]
    assert asked["settings"].offsets_s == ({"cam02": -0.5}, {})
    assert list(asked["known"]) == ["cam01", "cam02", "cam03", "cam04"]
    assert asked["known"]["cam01"].camera == ring()[0].camera
    for text, message in (
        ("cam09=1", "--offsets cam09=1 is not CAMERA=SECONDS. Cameras are cam01, cam02, cam03, cam04."),
        ("cam01=soon", "--offsets cam01=soon is not CAMERA=SECONDS. Cameras are cam01, cam02, cam03, cam04."),
    ):
        with pytest.raises(InputError) as refused:
            stage.given_offsets(load_takes(keypoints), MotionConfig(offsets=(text,)))
        assert str(refused.value) == message
    with pytest.raises(InputError, match="take one cannot be synchronised by sound: they have none"):
        stage.given_offsets(load_takes(keypoints), MotionConfig(sync="sound"))


def _encode(path: Path, frames: list[np.ndarray], sound: Path | None = None) -> None:
    height, width = frames[0].shape[:2]
    options = {"audio_path": str(sound), "audio_codec": "aac"} if sound else {}
    writer = imageio_ffmpeg.write_frames(
        str(path), (width, height), fps=30, macro_block_size=None, quality=9, ffmpeg_log_level="error", **options
    )
    writer.send(None)
    for frame in frames:
        writer.send(np.ascontiguousarray(frame))
    writer.close()


def _people_before_a_wall(folder: Path) -> tuple[Path, np.ndarray, Path]:
    """Two videos of a textured wall before which a bright figure passes, with its keypoints; motion says offsets."""
    rng = np.random.default_rng(0)
    wall = np.kron(rng.integers(40, 160, (12, 16, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    videos = folder / "videos"
    videos.mkdir(parents=True)
    detections = []
    for k in range(2):
        frames = [wall.copy() for _ in range(24)]
        xy = np.full((24, 1, len(JOINTS), 2), np.nan, np.float32)
        for t, frame in enumerate(frames):
            x = 20 + 9 * (t + 2 * k)
            frame[30:130, x - 8 : x + 8] = 255
            xy[t, 0, 5:17] = np.stack([np.tile([x - 6, x + 6], 6), np.repeat(np.linspace(36, 124, 6), 2)], axis=1)
        _encode(videos / f"cam{k}.mp4", frames)
        confidence = np.where(np.isfinite(xy[..., 0]), np.float32(0.9), np.float32(0))
        detections.append(Detections(f"cam{k}", (256, 192), 30.0, xy, confidence))
    (folder / "keypoints").mkdir()
    save_takes(folder / "keypoints", [Take("videos", detections)])
    (folder / "motion").mkdir()
    offsets_s = {"cam0": 0.0, "cam1": 2 / 30}
    save_rig(folder / "motion", RigRecord(offsets_s, {}, "metre", "assumed", 0.1, ["videos"], {}))
    return videos, wall, folder


def _pictures(folder: Path, videos: Path, **options: float) -> list[np.ndarray]:
    out = folder / f"photos{len(options)}"
    out.mkdir()
    inputs = {"keypoints": folder / "keypoints", "motion": folder / "motion"}
    take_pictures(inputs, MomentConfig(videos=videos, **options), out, LogProgress())  # type: ignore[arg-type]
    photos = load_photos(out)
    assert [photo.name for photo in photos] == ["cam0.png", "cam1.png"]
    assert (photos[0].width, photos[0].height) == (256, 192)
    return [photo.load_image8(out).astype(float) for photo in photos]


def test_the_background_is_without_people(tmp_path: Path) -> None:
    videos, wall, folder = _people_before_a_wall(tmp_path)
    for picture in _pictures(folder, videos):
        assert np.abs(picture - wall).mean() < 6
        assert picture.max() < 215


def test_a_moment_is_the_same_in_all_cameras(tmp_path: Path) -> None:
    videos, _, folder = _people_before_a_wall(tmp_path)
    where = [
        float(np.nonzero((picture > 225).all(axis=2))[1].mean()) for picture in _pictures(folder, videos, time_s=0.4)
    ]
    assert where == pytest.approx([20 + 9 * 12, 20 + 9 * (10 + 4 - 2)], abs=2)
    with pytest.raises(InputError) as refused:
        take_pictures(
            {"keypoints": folder / "keypoints", "motion": folder / "motion"},
            MomentConfig(videos=videos, time_s=9.0),
            _empty(tmp_path / "late"),
            LogProgress(),
        )
    assert str(refused.value) == (
        "cam0.mp4 has no frame 270: it does not reach that moment. Choose another --moment.time-s."
    )


def _empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_people_mask_covers_limbs() -> None:
    seen = seen_by(ring()[0], walker(1))
    mask = people_mask(seen, 0, (480, 640))
    x, y = seen.xy[0, 0].round().astype(int).T
    assert mask[y, x].all()
    assert 0.01 < mask.mean() < 0.3


def test_sound_finds_offsets_and_refuses_what_is_not_of_one_event(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rate, event = 16_000, rng.normal(0, 0.1, 16_000 * 9) * np.repeat(rng.uniform(0, 1, 90), 1600)
    frames = [np.zeros((48, 64, 3), np.uint8)] * 180
    starts = {"a": 0.0, "b": 0.7371, "c": 1.5}
    for name, start in starts.items():
        part = event[int(start * rate) :][: 6 * rate]
        heard = np.convolve(part, [0.5, 0.0, 0.2], "same") + rng.normal(0, 0.01, len(part))
        wavfile.write(tmp_path / f"{name}.wav", rate, (heard * 2**14).astype(np.int16))
        _encode(tmp_path / f"{name}.mp4", frames, tmp_path / f"{name}.wav")
    wavfile.write(tmp_path / "d.wav", rate, (rng.normal(0, 0.1, 6 * rate) * 2**14).astype(np.int16))
    _encode(tmp_path / "d.mp4", frames, tmp_path / "d.wav")
    _encode(tmp_path / "e.mp4", frames)
    videos = {name: tmp_path / f"{name}.mp4" for name in "abcde"}
    found = offsets_by_sound(videos)
    assert found == pytest.approx(starts, abs=0.004)
    assert offsets_by_sound({"a": videos["a"], "e": videos["e"]}) == {}
    assert offsets_by_sound({"a": videos["a"], "d": videos["d"]}) == {}
