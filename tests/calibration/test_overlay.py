"""The film of skeletons over videos, read back by OpenCV."""

from __future__ import annotations

from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
import pytest
from small_rig import SIZE, ring, walker

from fewview.apps.cli import main
from fewview.calibration.artifact import RigRecord, save_rig
from fewview.calibration.formats.motion import write_motion
from fewview.calibration.observations import Motion, Rig
from fewview.calibration.skeleton import INDEX
from fewview.calibration.stage import write_rig
from fewview.recon.progress import LogProgress


def _video(path: Path, frames: int) -> None:
    writer = imageio_ffmpeg.write_frames(str(path), SIZE, fps=30, macro_block_size=None, ffmpeg_log_level="error")
    writer.send(None)
    for _ in range(frames):
        writer.send(np.full((SIZE[1], SIZE[0], 3), 90, np.uint8))
    writer.close()


def test_skeletons_lie_on_the_videos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second camera starts three frames late, and its video ends two early: there it is black."""
    views, xyz = ring(2), walker(10)
    out, videos = tmp_path / "out", tmp_path / "videos"
    (out / "motion").mkdir(parents=True)
    videos.mkdir()
    offsets = {"cam01": 0.0, "cam02": 0.1}
    rig = Rig(views, offsets, {}, "metre", "height 1.75 m", 0.02)
    write_rig(out / "motion", rig, ["cam01", "cam02"], LogProgress())
    write_motion(out / "motion" / "take.npz", Motion(30.0, 0.0, xyz, np.ones(xyz.shape[:3]), np.full(xyz.shape[:3], 2)))
    save_rig(out / "motion", RigRecord(offsets, {}, "metre", "height 1.75 m", 0.02, ["take"], {}))
    (out / "manifest.json").write_text("{}")
    _video(videos / "cam01.mp4", 10)
    command = ["overlay", str(out), "--videos", str(videos), "--to", str(tmp_path / "film.mp4")]
    assert main(command) == 2
    assert "videos holds no video of cam02." in capsys.readouterr().err
    _video(videos / "cam02.mp4", 5)
    assert main(command) == 0
    film = cv2.VideoCapture(str(tmp_path / "film.mp4"))
    frames = [film.read()[1][..., ::-1].astype(int) for _ in range(10)]
    assert not film.read()[0]
    assert film.get(cv2.CAP_PROP_FPS) == 30
    assert frames[0].shape == (480, 1280, 3)
    dark = [frame[200:, 640:].max() < 40 for frame in frames]
    assert dark == [True] * 3 + [False] * 5 + [True] * 2
    for t, camera in ((0, 0), (5, 0), (5, 1)):
        T = views[camera].T_camera_world
        hip, knee = (xyz[t, 0, INDEX[f"left_{name}"]] @ T[:3, :3].T + T[:3, 3] for name in ("hip", "knee"))
        x, y = views[camera].camera.project(0.5 * (hip + knee)).round().astype(int)
        near = frames[t][y - 2 : y + 3, 640 * camera + x - 2 : 640 * camera + x + 3]
        assert (near[..., 0] - near[..., 2]).max() > 90, "the first person's red"
    assert np.abs(frames[5][470, 20] - 90).max() < 6
