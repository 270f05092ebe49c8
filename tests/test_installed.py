"""The program as a wheel in an environment of its own, called from a folder whose files bear its modules' names."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pip
import pytest

from fewview.recon.dag.program import sources_of

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
    # Packages add folders of their own inside (ifcopenshell one that is not there), once they are imported.
    for path in (Path(line) for line in reversed(sys.path) if line.endswith("site-packages")):
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
from fewview.apps.batches.process import Request, SceneProcess
from fewview.recon.dag import run_isolated
from fewview.recon.io.package_index import DownloadError, download_archive
from fewview.apps.web.queue import Job, start
from fewview.apps.web.store import Run

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
from fewview.apps.commands.doctor import _pip
from fewview.recon.errors import EnvironmentFault
from fewview.recon.io import weights
from fewview.recon.progress import LogProgress

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


MANAGE = """
from pathlib import Path
import apps, apps.models, calibration, data, fewview, layout, recon, splatting
import fewview.apps, fewview.data
from fewview.recon.dag import run_isolated

print(*(module.OURS for module in (apps, apps.models, calibration, data, layout, recon, splatting)))
print(fewview.Camera(4, 2, 1, 1, 2, 1).matrix[0, 2], fewview.__version__)
try:
    fewview.reconstruct("nowhere", "out")
except fewview.FewviewError as error:
    print(error.what)
for function in ("fewview.recon.durations:rough", "apps.models:rough"):
    print(run_isolated(function, (75.0,), log=Path("isolated.log")))
print(Path(fewview.apps.__file__).parents[2].name, Path(fewview.data.__file__).parents[2].name)
"""


def test_a_project_with_folders_of_our_names(environment: Path, tmp_path: Path) -> None:
    """Such as Django's: its `apps`, its `data`. Neither disturbs the other, nor in the other's child processes."""
    for name in set(PROGRAM) - {"layout"}:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"OURS = {name!r}\n")
    (tmp_path / "layout.py").write_text("OURS = 'layout'\n")
    models = "import layout\nOURS = f'models on {layout.OURS}'\ndef rough(seconds):\n    return f'{seconds:.0f} s'\n"
    (tmp_path / "apps" / "models.py").write_text(models)
    (tmp_path / "manage.py").write_text(MANAGE)
    words = [str(environment / "python"), "manage.py"]
    variables = {"HOME": str(tmp_path)}
    done = subprocess.run(words, check=False, capture_output=True, text=True, cwd=tmp_path, env=variables)
    assert done.stdout.splitlines() == [
        "apps models on layout calibration data layout recon splatting",
        f"2.0 {version('fewview')}",
        "There is no file or folder nowhere.",
        "1 minute",
        "75 s",
        "site-packages site-packages",
    ], done.stderr


SOURCES = """
import json
from fewview.recon.dag import program
print(json.dumps(dict(program.sources_of("fewview.recon.depth.stage:run"))))
"""


def test_a_key_counts_the_same_sources_as_in_the_checkout(hostile: Call) -> None:
    """So a folder of results that the one made is not made again by the other."""
    installed = json.loads(hostile("python", "-P", "-c", SOURCES).stdout)
    ours = sources_of("fewview.recon.depth.stage:run")
    assert installed.keys() == ours.keys() >= {"recon/depth/stereo.py", "recon/depth/_kernels.so"}
    assert all(installed[name] == ours[name] for name in ours if not name.endswith(".so"))


def test_what_is_installed(environment: Path) -> None:
    [packages] = environment.parent.glob("lib/*/site-packages")
    installed = {path.name for path in packages.iterdir()} - {"dependencies.pth"}
    assert installed == {"fewview", f"fewview-{version('fewview')}.dist-info"}
    assert (packages / "fewview" / "py.typed").is_file()
    assert not [path for path in packages.rglob("*") if path.is_symlink() or path.name == "native"]
    licences = packages / f"fewview-{version('fewview')}.dist-info" / "licenses"
    assert {"LICENSE", "THIRD_PARTY.md", "licenses"} <= {path.name for path in licences.iterdir()}
    assert {path.name for path in (licences / "licenses").iterdir()} == {"ALIKED.txt", "LPIPS.txt", "torchvision.txt"}
