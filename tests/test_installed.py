"""The program as a wheel in an environment of its own, called from a folder whose files bear its modules' names."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pip
import pytest

REPOSITORY = Path(__file__).parents[1]
PROGRAM = ("apps", "calibration", "data", "layout", "recon", "splatting")
OTHERS = ("ctypes", "numpy", "pip", "random", "torch", "tyro")

Call = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its `bin`. What the wheel depends on is taken from where this test finds it, but for pip."""
    folder = tmp_path_factory.mktemp("installed")
    _done(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, REPOSITORY)
    _done(sys.executable, "-m", "venv", "--without-pip", folder / "venv")
    python = folder / "venv" / "bin" / "python"
    install = ("install", "--quiet", "--no-deps", *folder.glob("*.whl"))
    _done(sys.executable, "-m", "pip", "--python", python, *install)
    [packages] = (folder / "venv").glob("lib/*/site-packages")
    dependencies = folder / "dependencies"
    dependencies.mkdir()
    for path in (Path(line) for line in reversed(sys.path) if "site-packages" in line):
        for entry in path.iterdir():
            if entry.name not in (*PROGRAM, "pip") and not entry.name.startswith("pip-"):
                (dependencies / entry.name).unlink(missing_ok=True)
                (dependencies / entry.name).symlink_to(entry)
    # A line of a .pth file adds a folder without what the .pth files in it add: this repository stays out.
    (packages / "dependencies.pth").write_text(f"{dependencies}\n")
    return python.parent


def _done(*words: str | Path) -> None:
    done = subprocess.run([str(word) for word in words], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def hostile(environment: Path, tmp_path: Path) -> Call:
    """Calls a program of the environment from a folder full of modules that say so when they are imported."""
    for number, name in enumerate((*PROGRAM, *OTHERS)):
        module = tmp_path / name / "__init__.py" if number % 2 else tmp_path / f"{name}.py"
        module.parent.mkdir(exist_ok=True)
        module.write_text(f"raise SystemExit('the {name} of the working folder was imported')\n")

    def call(program: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [str(environment / program), *words]
        variables |= {"HOME": str(tmp_path), "PIP_NO_INDEX": "1"}
        return subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path, env=variables)

    return call


CHILDREN = """
import pickle
from pathlib import Path
from apps.batches.process import Request, SceneProcess
from recon.dag import run_isolated
from recon.io.package_index import DownloadError, download_archive
from apps.web.queue import Job, start
from apps.web.store import Run

print(run_isolated("os:getcwd", log=Path("isolated.log")))
Path("logs").mkdir()
scene = SceneProcess(Request("kitchen", "builtins:print", pickle.dumps(("a scene",)), Path.cwd()))
print(scene.settle().kind, Path("logs/kitchen.log").read_text(), end="")
folder = Path("run")
folder.mkdir()
process = start(Job(Run("run", folder), ("--help",)))
process.wait()
print(process.end(), "usage" in (folder / "log.txt").read_text())
for source in (False, True):
    where = Path(f"source {source}")
    where.mkdir()
    try:
        download_archive("fewview-is-on-no-index", "1", source, where, lambda arrived: None)
    except DownloadError as error:
        print(error)
"""


def test_every_child(hostile: Call, tmp_path: Path) -> None:
    script = tmp_path / "elsewhere" / "script.py"
    script.parent.mkdir()
    script.write_text(CHILDREN)
    (tmp_path / "elsewhere" / "packages").mkdir()
    (tmp_path / "elsewhere" / "packages" / "pip").symlink_to(Path(pip.__file__).parent)
    done = hostile("python", str(script), PYTHONPATH=str(tmp_path / "elsewhere" / "packages"))
    assert done.stdout.splitlines() == [
        str(tmp_path),
        "done a scene",
        "0 True",
        "ERROR: No matching distribution found for fewview-is-on-no-index==1",
        "No matching distribution found for fewview-is-on-no-index==1",
    ], done.stderr


WITHOUT_PIP = """
from apps.doctor import _pip
from recon.errors import EnvironmentFault
from recon.io import weights
from recon.progress import LogProgress

found = _pip()
print(found.ok, found.needed, found.fix)
try:
    weights.fetch("aliked-n16", LogProgress())
except EnvironmentFault as fault:
    print(fault)
"""


def test_without_pip(hostile: Call, environment: Path, tmp_path: Path) -> None:
    """As in an environment that uv made: it is told how to get it, before a run and in the words of the fallback."""
    (tmp_path / "elsewhere").mkdir()
    script = tmp_path / "elsewhere" / "script.py"
    script.write_text(WITHOUT_PIP)
    done = hostile("python", str(script))
    remedy = f"{environment / 'python'} -m ensurepip (or, in an environment that uv made, uv pip install pip)"
    assert done.stdout.splitlines() == [
        f"False True {remedy}",
        "The weights aliked-n16 (2.7 MB) could not be downloaded: this Python has no pip. "
        f"Run {remedy} once, and run again.",
    ], done.stderr
