"""`fewview pictures` on a whole run, and its contact sheet."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fewview.apps.cli import main
from fewview.apps.contact_sheet import contact_sheet
from fewview.recon.depth.artifact import DepthMap
from fewview.recon.io.cameras import CameraSet, Verdict, write_cameras
from fewview.recon.photos import load_photos


def test_everything_is_drawn(room: tuple[Path, Path], tmp_path: Path) -> None:
    to = tmp_path / "pictures"
    show = ("plan", "elevations", "depth", "depth-exr", "sheet")
    assert main(["pictures", str(room[1]), "--to", str(to), "--size", "200", "--show", *show]) == 0
    keys = {photo.key for photo in load_photos(room[1] / "photos")}
    sides = ("top", "right", "bottom", "left")
    expected = {"plan.png", "pictures.json", "sheet.png", *(f"elevation-{side}.png" for side in sides)}
    assert {path.name for path in to.iterdir()} >= expected
    drawn = json.loads((to / "pictures.json").read_text())["pictures"]
    assert set(drawn) == {name for name in expected if name not in ("pictures.json", "sheet.png")}
    for name in drawn:
        with Image.open(to / name) as file:
            assert np.asarray(file).std() > 20
    depths = {path.stem.removeprefix("depth-") for path in to.glob("depth-*.png")}
    assert depths == {path.stem.removeprefix("depth-") for path in to.glob("depth-*.exr")}
    assert depths
    assert depths <= keys
    key = min(depths)
    with Image.open(to / f"depth-{key}.png") as file:
        stored = np.asarray(file) / 1000
    depth = DepthMap.load(room[1] / "depth" / f"{key}.npz").depth
    known = np.isfinite(depth)
    np.testing.assert_allclose(stored[known], depth[known], atol=0.00051)
    assert not stored[~known].any()


def test_photos_that_were_left_out_are_grey_on_the_sheet(tmp_path: Path) -> None:
    (tmp_path / "photos" / "images").mkdir(parents=True)
    entries = []
    for name, excluded in (("a", None), ("b", None), ("c", "too dark")):
        Image.new("RGB", (64, 48), (255, 0, 0)).save(tmp_path / "photos" / "images" / f"{name}.png")
        entry = {"name": f"{name}.jpg", "key": name, "source": f"{name}.jpg", "sha256": "", "width": 64, "height": 48}
        entries.append(entry | {"image": f"images/{name}.png", "excluded": excluded})
    (tmp_path / "photos" / "views.json").write_text(json.dumps({"views": entries}))
    write_cameras(tmp_path, CameraSet([], verdicts=[Verdict("a.jpg", True), Verdict("b.jpg", False, "no overlap")]))
    sheet = contact_sheet(tmp_path / "photos", tmp_path).astype(int)
    red = (sheet[..., 0] - sheet[..., 1] > 150).sum()
    assert 64 * 48 <= red < 1.3 * 64 * 48, "of one photo of three, and of a few words"
    assert (contact_sheet(tmp_path / "photos", None).astype(int)[..., 0] > 0).any()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--size", "3"], "--size 3 is not between 16 and 16384."),
        (["--cut", "0"], "--cut 0 is not a share of the room's height."),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], text: str
) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    assert main(["pictures", str(tmp_path), *words]) == 2
    assert text in " ".join(capsys.readouterr().err.split())
    shutil.rmtree(tmp_path)
    assert main(["pictures", str(tmp_path), *words]) == 2
