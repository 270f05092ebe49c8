"""Every kind of hostile input ends as it should; `tests.benchmarks.hostile` takes them through whole commands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fewview.apps.cli import main
from fewview.apps.pipeline import rig_stages, stages
from fewview.recon.dag import Stage
from tests.hostile.corpus import KINDS
from tests.hostile.fuzzing import bounded
from tests.hostile.places import Sound, no_matches, write_noise, write_rig, write_run

SLOW = {"hundred_megapixels", "videos_of_nobody", "npz_of_noise", "coco_of_negative_frames"}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Sound:
    folder = tmp_path_factory.mktemp("sound")
    write_noise(folder / "photos")
    write_rig(folder / "rig")
    write_run(folder / "run", folder / "photos")
    return Sound(folder / "photos", folder / "rig", folder / "run")


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages run in this process, and matching, which sees no hostile input, is left out."""

    def changed(stage: Stage) -> Stage:
        return replace(stage, isolated=False, run=no_matches if stage.name == "matches" else stage.run)

    monkeypatch.setattr("fewview.apps.commands.run.stages", lambda *words: tuple(map(changed, stages(*words))))
    monkeypatch.setattr(
        "fewview.apps.commands.calibrate.rig_stages", lambda *words: tuple(map(changed, rig_stages(*words)))
    )


@pytest.mark.parametrize("name", [name for name in KINDS if name not in SLOW])
def test_kind(sound: Sound, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    kind, place = KINDS[name], sound.place(tmp_path)
    words = kind.write(place)
    if words[0] == "run":
        words += ["--until", "cameras" if kind.group == "cameras" else "photos"]
    with bounded():
        code = main(words)
    said = " ".join(capsys.readouterr().err.split())
    assert code in kind.codes, said
    for text in kind.says:
        assert text in said
    assert ("Remedy:" in said) == (code != 0)
    if kind.group == "cameras" and name != "cameras_of_another_shape":  # before photos are matched for minutes
        assert not place.out.exists()
