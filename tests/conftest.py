"""Fixtures that several packages share."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.photosets import data_root


@pytest.fixture(scope="session")
def photosets() -> Path:
    """Folder of the real photo sets; the test is skipped where they are absent."""
    folder = data_root() / "views"
    if not folder.is_dir():
        pytest.skip(f"no real photo sets at {folder} (set FEWVIEW_DATA)")
    return folder
