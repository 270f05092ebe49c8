"""Fixtures that several packages share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import shapes  # noqa: F401  (before the program: it checks what is imported from here on)
from playwright.sync_api import Browser, sync_playwright
from quick import QUICK

from fewview.apps.cli import main
from fewview.data.gallery import generate, write_scene
from fewview.data.photosets import data_root

# No deadline: machines differ, and a slow one has found no fault. The same examples every time.
hypothesis.settings.register_profile("fewview", deadline=None, derandomize=True)
hypothesis.settings.load_profile("fewview")


@pytest.fixture(scope="session")
def photosets() -> Path:
    """Folder of the real photo sets; the test is skipped where they are absent."""
    return _real("views")


@pytest.fixture(scope="session")
def mocap() -> Path:
    """Folder of the real recordings of people; the test is skipped where they are absent."""
    return _real("mocap")


def _real(kind: str) -> Path:
    folder = data_root() / kind
    if not folder.is_dir():
        pytest.skip(f"needs FEWVIEW_DATA ({folder} is absent)")
    return folder


@pytest.fixture(scope="session")
def room(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A synthetic room and the whole run on four photos of it. Tests that change a run copy it first."""
    folder = tmp_path_factory.mktemp("room")
    write_scene(generate(seed=1, views=4), folder / "set")
    out = folder / "run"
    assert main(["run", str(folder / "set" / "images"), "--out", str(out), *QUICK]) == 0
    return folder / "set", out


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium without a window; its own calls home are off, so all requests are a page's."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs chromium (`make test` installs it)")
    quiet = ("--no-sandbox", "--disable-background-networking", "--disable-component-update")
    webgl = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")  # in software
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=[*quiet, *webgl])
        yield started
        started.close()
