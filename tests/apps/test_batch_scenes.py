"""Which scenes are meant: folders, globs and jobs files, with messages that name the line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fewview.apps.batches import jobs_file
from fewview.apps.batches.command import seconds
from fewview.apps.batches.scenes import find
from fewview.recon.errors import InputError

TOML = """
# Two scenes.
[[scene]]
photos = "kitchen"
preset = "best"
options = { splat = { steps = 50 }, photos = { video_frames = 4 }, layout = false, force = ["splat", "mesh"] }

[[scene]]
name = "hall, upstairs"
photos = ["hall/1.jpg", "hall/2.jpg"]
cameras = "hall/transforms.json"
"""
JSON_LINES = (
    """
{"photos": "kitchen", "preset": "best", "options":
""".strip()
    + """ "--splat.steps 50 --photos.video-frames 4 --no-layout --force splat mesh"}

{"name": "hall, upstairs", "photos": ["hall/1.jpg", "hall/2.jpg"], "cameras": "hall/transforms.json"}
"""
)
CSV = """name,photos,preset,options,cameras
,kitchen,best,--splat.steps 50 --photos.video-frames 4 --no-layout --force splat mesh,

"hall, upstairs",hall/1.jpg; hall/2.jpg,,,hall/transforms.json
"""


@pytest.mark.parametrize(("suffix", "text"), [("toml", TOML), ("jsonl", JSON_LINES), ("csv", CSV)])
def test_the_three_formats_say_the_same(tmp_path: Path, suffix: str, text: str) -> None:
    path = tmp_path / f"jobs.{suffix}"
    path.write_text(text)
    kitchen, hall = find([str(path)])
    assert (kitchen.name, kitchen.photos, kitchen.cameras) == ("kitchen", (tmp_path / "kitchen",), None)
    assert " ".join(kitchen.words) == (
        "--preset best --splat.steps 50 --photos.video-frames 4 --no-layout --force splat mesh"
    )
    assert (hall.name, hall.words) == ("hall, upstairs", ())
    assert hall.photos == (tmp_path / "hall/1.jpg", tmp_path / "hall/2.jpg")
    assert hall.cameras == tmp_path / "hall/transforms.json"


@pytest.mark.parametrize(
    ("name", "text", "line", "what"),
    [
        ("a.toml", '[[scene]]\nphotos = "a"\n\n[[scene]]\nphotos = 3\n', 4, "`photos` must be a path or a list of"),
        ("a.toml", '[[scene]]\nphotos = "a"\nphotos = "b"\n', 3, "this is not TOML"),
        ("a.toml", '[[scene]]\nphotos = "a"\n[scenes]\n', 3, "there is no `scenes` here"),
        ("a.toml", 'scene = [{photos = "a"}]\n', 1, "there is no [[scene]]"),
        (
            "a.toml",
            '\n[[scene]]\nphotos = "a"\noptions = { splat = { x = [[1]] } }\n',
            2,
            "the option `splat.x` must be",
        ),
        ("a.jsonl", '{"photos": "a"}\n\n{"photos": "b",}\n', 3, "this is not JSON"),
        ("a.jsonl", '{"photos": "a"}\n["b"]\n', 2, "this is not an object"),
        ("a.jsonl", '{"photos": "a", "quality": 1}\n', 1, "there is no field `quality`"),
        ("a.jsonl", '{"photos": "a", "preset": 1}\n', 1, "`preset` must be text"),
        (
            "a.csv",
            "photos,preset,options\na,fast,--preset=best\n",
            2,
            "`preset` and --preset=best in `options` say the same",
        ),
        ("a.jsonl", '{"photos": "a", "cameras": "c", "options": {"prior": "keypoints"}}\n', 1, "`cameras` and --prior"),
        ("a.jsonl", '{"photos": []}\n', 1, "`photos` must be a path or a list of paths"),
        ("a.csv", "name,photos\nx,a\ny,b,c\n", 3, "3 values for 2 columns"),
        ("a.csv", "name,fotos\nx,a\n", 1, "no column is called photos"),
        ("a.csv", 'photos,options\na,"--x\n', 2, "this is not CSV"),
        ("a.csv", "photos,options\na,--x 'y\n", 2, "`options` cannot be split into words"),
        ("a.csv", "photos,name\n\n,x\n", 3, "`photos` must be a path or a list of paths"),
        ("a.csv", b"photos\na\n\xff\n", 3, "this is not UTF-8"),
    ],
)
def test_errors_name_the_line(tmp_path: Path, name: str, text: str | bytes, line: int, what: str) -> None:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as caught:
        jobs_file.read(path)
    assert caught.value.what.startswith(f"{path}, line {line}: {what}")


def test_folders_and_globs(tmp_path: Path) -> None:
    for name in ("room-10", "room-9", ".hidden", "set/images"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "notes.txt").touch()
    assert [scene.name for scene in find([str(tmp_path)])] == ["room-9", "room-10", "set"]
    assert find([str(tmp_path)])[2].photos == (tmp_path / "set" / "images",)
    assert [scene.name for scene in find([str(tmp_path / "room-*")])] == ["room-9", "room-10"]
    assert [scene.name for scene in find([str(tmp_path / "*" / "images")])] == ["set"]
    assert [scene.name for scene in find([str(tmp_path / "room-10"), str(tmp_path / "set")])] == ["room-10", "set"]


def test_scenes_that_cannot_be_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "jobs.jsonl"
    lines = [{"photos": "a/x"}, {"photos": "b/X"}]
    path.write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(InputError, match=r"line 2: the name 'X' is that of .*line 1, too"):
        find([str(path)])
    for name in ("../x", ".x", "logs", "a/b", ""):
        path.write_text(json.dumps({"photos": "a", "name": name or "\n"}))
        with pytest.raises(InputError, match="cannot name a scene's folder"):
            find([str(path)])
    with pytest.raises(InputError, match="is no folder, glob or jobs file"):
        find([str(tmp_path / "absent")])
    with pytest.raises(InputError, match="There are no scenes at"):
        find([str(tmp_path / "absent-*")])


def test_times() -> None:
    assert [seconds(text) for text in ("90", "90s", "1.5m", "2h")] == [90, 90, 90, 7200]
    for text in ("", "0", "-1", "two", "1d"):
        with pytest.raises(InputError, match="is no time"):
            seconds(text)
