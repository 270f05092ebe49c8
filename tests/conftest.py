"""Fixtures that several packages share."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest

from data.photosets import data_root

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
