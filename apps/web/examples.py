"""The example to try: photos of a synthetic furnished room, drawn when first asked for."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from fewview.data.gallery import generate, write_scene

VIEWS = 6


def synthetic_room(folder: Path, size: tuple[int, int] = (1024, 768)) -> list[Path]:
    """The photos of the room of `fewview demo`.

    Args:
        folder: where they are kept; filled where it is absent.
        size: width and height of the photos, pixels.
    """
    if not folder.is_dir():
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            write_scene(generate(seed=0, views=VIEWS, size=size, walk="around"), Path(scratch))
            ready = Path(scratch) / "ready"
            shutil.copytree(Path(scratch) / "images", ready)
            try:
                os.rename(ready, folder)
            except OSError:  # another visitor was faster
                if not folder.is_dir():
                    raise
    return sorted(folder.iterdir())
