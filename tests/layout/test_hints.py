"""Hints in the formats of others, written here, change what counts as the room's shell."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from fewview.layout.hints import hint_files, read_shell, weigh
from fewview.layout.stage import find_room
from fewview.layout.surfaces import DepthView
from fewview.recon.errors import InputError
from fewview.recon.io.cameras import CameraSet
from fewview.recon.progress import LogProgress
from tests.layout.prisms import CAMERA, RECTANGLE, look, photos, pose, room

SIZE = (320, 240)
"""Of the photos: twice that of the depth maps."""
BUILT = np.array([[0, 0], [4.6, 0], [4.6, 3.2], [1.2, 3.2], [1.2, 3.8], [0, 3.8]])


def _cupboard() -> tuple[list[DepthView], list[np.ndarray]]:
    """Cupboards up to the ceiling on most of the wall y = 3.8: from depth alone, the room ends at their front."""
    truth, built = room(RECTANGLE), room(BUILT)
    poses = [pose(1.6 + 0.4 * i, 0.8, yaw) for i, yaw in enumerate((140, 110, 90, 70, 40))]
    views = look(built, poses)
    masks = [view.depth < behind.depth - 0.01 for view, behind in zip(views, look(truth, poses), strict=True)]
    return views, masks


def test_label_maps_tell_cupboards_from_the_wall(tmp_path: Path) -> None:
    views, masks = _cupboard()
    for view, mask in zip(views, masks, strict=True):
        labels = np.where(mask, 3, 1).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"{view.name}.png"), cv2.resize(labels, SIZE, interpolation=cv2.INTER_NEAREST))
    weighed, hinted = weigh(views, [SIZE] * len(views), hint_files(tmp_path))
    assert hinted == len(views)
    blank = photos(room(RECTANGLE), views, blank=True)
    walls = []
    for used in (views, weighed):
        layout, reason, _ = find_room(used, blank, CameraSet([], units="metre"), LogProgress())
        assert layout is not None, reason
        walls.append(len(layout.walls))
    assert walls == [6, 4]
    assert (layout.polygon @ layout.R_room_world[:2, :2])[:, 1].max() == pytest.approx(3.8, abs=0.05)


def test_detections_and_arrays_leave_no_confidence_in_the_rest(tmp_path: Path) -> None:
    view = look(room(RECTANGLE), [pose(2, 1, 90)])[0]
    boxes = {"plane": [[0, 0, 160, 240, 0.9, 0], [160, 0, 320, 240, 0.3, 0]], "floor": [], "ceiling": [],
             "commons": [0, 1], "line": [0.1, 2, 0.5]}  # fmt: skip
    (tmp_path / "view0.json").write_text(json.dumps(boxes))
    (weighed,), hinted = weigh([view], [SIZE], hint_files(tmp_path))
    assert hinted == 1
    assert (weighed.confidence[:, :80] == 1).all()
    assert (weighed.confidence[:, 80:] == 0).all(), "a detection of low score is none"
    np.savez(tmp_path / "view1.npz", labels=np.full((5, 7), 22))
    assert read_shell(tmp_path / "view1.npz", SIZE).all()
    (same,), hinted = weigh([view], [SIZE], [tmp_path / "view1.npz"])
    assert (hinted, same.confidence.min()) == (0, 1), "another photo's"
    assert view.depth.shape == (CAMERA.height, CAMERA.width)


def test_what_is_no_hint_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no folder"):
        hint_files(tmp_path / "none")
    assert hint_files(None) == ()
    (tmp_path / "a.json").write_text('{"plane": [[1, 2]]}')
    (tmp_path / "b.png").write_text("text")
    cv2.imwrite(str(tmp_path / "c.png"), np.zeros((4, 4, 3), np.uint8))
    np.savez(tmp_path / "d.npz", labels=np.zeros((4, 4)))
    for path in hint_files(tmp_path):
        with pytest.raises(InputError, match="neither a label map nor plane detections"):
            read_shell(path, SIZE)
