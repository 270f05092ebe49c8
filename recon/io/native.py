"""Loads the project's own C++ kernels, and remembers why it could not."""

from __future__ import annotations

import ctypes
import functools
import importlib.util

from fewview.recon.errors import EnvironmentFault


@functools.cache
def load_kernels(package: str) -> ctypes.CDLL:
    """The plain C library built beside `package` (`<package>/_kernels.so`).

    Args:
        package: dotted name, such as `splatting`.

    Raises:
        EnvironmentFault: the library was not built or does not load; the message names the cause and the fix.
    """
    name = f"{package}._kernels"
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise EnvironmentFault(
            f"The native kernels of `{package}` are not built.",
            "Run `make setup` in the source folder (it needs a C++17 compiler), or reinstall fewview.",
        )
    try:
        return ctypes.CDLL(spec.origin)
    except OSError as error:
        raise EnvironmentFault(
            f"The native kernels {spec.origin} do not load: {error}.",
            "Run `make setup` again: the library was built for another machine or interpreter.",
        ) from error
