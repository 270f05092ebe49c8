"""How this program starts another interpreter with a part of itself."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from recon.stage import import_path

_START = "import sys; sys.path[:] = {path!r}; from {module} import {name}; sys.exit({name}())"


def command(function: Callable[[], Any], *arguments: str) -> list[str]:
    """Words that start an interpreter which calls `function` with `sys.argv[1:]` set to `arguments`.

    It imports from where this process does, and from nowhere else: `python -m` would look into the working folder
    first, which is the user's, and take an `apps/`, a `data.py` or a `random.py` there for the program's or Python's.

    Args:
        function: importable, of a module.
    """
    module, _, name = import_path(function).partition(":")
    path = [os.path.abspath(folder) for folder in sys.path]
    return [sys.executable, "-P", "-u", "-c", _START.format(path=path, module=module, name=name), *arguments]
