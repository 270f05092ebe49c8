"""Every kind of hostile input ends as it should; `tests.benchmarks.hostile` takes them through whole commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.cli import main
from tests.hostile.corpus import KINDS
from tests.hostile.fuzzing import bounded
from tests.hostile.places import Sound, write_noise, write_rig, write_run

SLOW = {"hundred_megapixels", "videos_of_nobody", "npz_of_noise", "coco_of_negative_frames"}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Sound:
    folder = tmp_path_factory.mktemp("sound")
    write_noise(folder / "photos")
    write_rig(folder / "rig")
    write_run(folder / "run", folder / "photos")
    return Sound(folder / "photos", folder / "rig", folder / "run")


@pytest.mark.parametrize(
    "name", [name for name, kind in KINDS.items() if kind.group in ("photos", "scene", "results") and name not in SLOW]
)
def test_kind(sound: Sound, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    kind = KINDS[name]
    words = kind.write(sound.place(tmp_path))
    if words[0] == "run":
        words += ["--until", "photos"]
    with bounded():
        code = main(words)
    said = " ".join(capsys.readouterr().err.split())
    assert code in kind.codes, said
    for text in kind.says:
        assert text in said
    assert ("Remedy:" in said) == (code != 0)
