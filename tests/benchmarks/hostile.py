"""Takes every kind of hostile input through its whole command, each in a process with limits, and prints a table.

    python -m tests.benchmarks.hostile [--json hostile.json] [--keep FOLDER] [KIND ...]

The photos are of a synthetic room, so that what is good among the bad becomes cameras. `run` goes on to `cameras`; of
the kinds in WHOLE to the end. A kind fails by a traceback, a crash, more than the limits of time and memory, an exit
code or words that are not those expected, or exit code 0 without the outputs that were asked for. Exit code 1 if any
fails.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from fewview.data.gallery import generate, write_scene
from tests.hostile.corpus import KINDS, Kind, Place
from tests.hostile.places import NAMES, SIZE, Sound, write_rig

SECONDS = 900
"""Of wall clock, on a machine that others use as well."""
ADDRESS_SPACE = 12 << 30
PEAK_MIB = 3000
SMALL = [
    *("--preset", "fast", "--matches.keypoints", "512", "--matches.long-side", "320", "--depth.long-side", "128"),
    *("--splat.long-side", "128", "--splat.steps", "20", "--splat.budget", "3000", "--mesh.long-side", "128"),
    *("--renders.long-side", "128", "--renders.seconds", "1"),
]
WHOLE = frozenset(
    {"truncated_jpeg", "transparent_png", "names_of_several_lines", "names_that_are_not_utf8", "mixed_sizes"}
)
UNFIT = "Traceback (most recent call last)", "Segmentation fault", "Fatal Python error", "terminate called"


@dataclass(frozen=True)
class Outcome:
    kind: str
    group: str
    code: int | None
    """None: it was killed when its time was up."""
    seconds: float
    peak_mib: float
    said: str
    """The error, or the last words."""
    wrong: tuple[str, ...]
    """What should not be; empty where all is well."""


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def call(words: Sequence[str], log: Path) -> tuple[int | None, float, float, str]:
    """Exit code, seconds, peak memory in MiB of the largest process, standard error."""
    began = time.monotonic()
    with log.open("wb") as errors:
        command = [sys.executable, "-m", "fewview.apps.cli", *words]
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=errors, preexec_fn=limited, start_new_session=True
        )
        code: int | None = None
        while time.monotonic() - began < SECONDS:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                code = process.returncode = os.waitstatus_to_exitcode(status)
                break
            time.sleep(0.05)
        else:
            os.killpg(process.pid, 9)
            _, _, usage = os.wait4(process.pid, 0)
    return code, time.monotonic() - began, usage.ru_maxrss / 1024, log.read_text(encoding="utf-8", errors="replace")


def missing_outputs(kind: Kind, words: Sequence[str], place: Place) -> list[str]:
    """Outputs that a command that ended with 0 should have written."""
    if words[0] == "export":
        return [] if place.out.is_dir() and any(place.out.rglob("*")) else ["the export"]
    if words[0] == "render":
        film = Path(words[words.index("--to") + 1])
        return [] if film.is_file() and film.stat().st_size else [str(film)]
    if words[0] == "evaluate":
        return []  # figures go to standard output
    out = Path(words[words.index("--out") + 1])
    if words[0] == "calibrate":
        wanted = ["motion/cameras.json", "motion/Calib.toml", "motion/rig.json", "motion/report.html"]
    else:
        wanted = ["cameras/cameras.json", "cameras/transforms.json", "cameras/sparse/0/images.bin"]
        if kind.name in WHOLE:
            wanted += ["splat/splat.ply", "mesh/mesh.glb", "renders/path.mp4", "layout/layout.json"]
    return [name for name in wanted if not (out / name).is_file() or not (out / name).stat().st_size]


def judge(kind: Kind, sound: Sound, folder: Path) -> Outcome:
    place = sound.place(folder)
    words = kind.write(place)
    if words[0] == "run":
        words += [*SMALL, *([] if kind.name in WHOLE else ["--until", "cameras"])]
    code, seconds, peak, text = call(words, folder / "stderr.txt")
    said = " ".join(text.split())
    wrong = [f"`{sign}`" for sign in UNFIT if sign in text]
    if code is None:
        wrong.append(f"still at it after {SECONDS} s")
    elif code not in kind.whole:
        wrong.append(f"exit code {code} instead of {' or '.join(map(str, kind.whole))}")
    wrong += [f"does not say: {words}" for words in kind.says if words not in said]
    if code in (1, 2) and "Remedy:" not in said:
        wrong.append("no remedy")
    if code == 0:
        wrong += [f"exit code 0 without {name}" for name in missing_outputs(kind, words, place)]
    if peak > PEAK_MIB:
        wrong.append(f"{peak:.0f} MiB")
    error = said.rpartition("Error:")[2].strip() if "Error:" in said else said[-200:]
    return Outcome(
        kind.name, kind.group, code, round(seconds, 1), round(peak), error.replace(str(folder), ""), tuple(wrong)
    )


def prepare(folder: Path) -> Sound:
    """Photos of a room, the run on them, and the keypoints of a rig."""
    write_scene(generate(seed=1, views=len(NAMES), size=SIZE), folder / "set")
    photos = folder / "photos"
    photos.mkdir()
    for image, name in zip(sorted((folder / "set" / "images").iterdir()), NAMES, strict=True):
        image.rename(photos / name)
    write_rig(folder / "rig")
    code, _, _, text = call(["run", str(photos), "--out", str(folder / "run"), *SMALL], folder / "run.txt")
    if code != 0:
        raise SystemExit(f"the run on good photos failed:\n{text}")
    return Sound(photos, folder / "rig", folder / "run")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", help="all if not given")
    parser.add_argument("--json", type=Path, help="file for the outcomes")
    parser.add_argument("--keep", type=Path, help="folder for the sound inputs, to be used again")
    options = parser.parse_args()
    outcomes = []
    with tempfile.TemporaryDirectory() as scratch:
        keep = options.keep or Path(scratch) / "sound"
        keep.mkdir(parents=True, exist_ok=True)
        made = (keep / "run" / "manifest.json").is_file()
        sound = Sound(keep / "photos", keep / "rig", keep / "run") if made else prepare(keep)
        for name in options.kinds or KINDS:
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                outcome = judge(KINDS[name], sound, Path(folder))
            outcomes.append(outcome)
            state = "FAILED" if outcome.wrong else "ok"
            figures = f"{outcome.code} {outcome.seconds:6.1f} s {outcome.peak_mib:5.0f} MiB"
            words = "; ".join(outcome.wrong) or outcome.said[:110]
            print(f"{state:<6} {outcome.group:<7} {name:<52} {figures}  {words}", flush=True)
    failed = [outcome for outcome in outcomes if outcome.wrong]
    print(f"{len(outcomes)} kinds, {len(failed)} failed")
    if options.json:
        options.json.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
