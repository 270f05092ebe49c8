"""While tests run, an annotation such as `Float[np.ndarray, "N 3"]` is a check: of kind, shape and element type.

Of every function and dataclass of PACKAGES in this process; the child processes of a run are as they are at the user's.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_args

import jaxtyping
from beartype import beartype

PACKAGES = ("calibration", "layout", "recon.matching", "recon.sfm")


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Arrays only: of the rest mypy knows, and a test may put something simpler in its place."""
    hints = inspect.get_annotations(function)
    function.__annotations__ = {name: hint for name, hint in hints.items() if _of_arrays(hint)}
    return beartype(function) if function.__annotations__ else function


def _of_arrays(hint: object) -> bool:
    if inspect.isclass(hint) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(map(_of_arrays, get_args(hint)))


jaxtyping.install_import_hook([f"fewview.{package}" for package in PACKAGES], "shapes.checked")
