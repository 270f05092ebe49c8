"""The machine and the libraries a run used: recorded in the manifest, no part of any key."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import re
import sys
from typing import Any

PROGRAM = "fewview"


@functools.cache
def program_version() -> str:
    try:
        return f"{PROGRAM} {importlib.metadata.version(PROGRAM)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{PROGRAM} (not installed)"


@functools.cache
def library_versions() -> dict[str, str]:
    """Versions of the libraries the program asks for, without importing them; all if not installed."""
    try:
        asked = importlib.metadata.requires(PROGRAM) or []
    except importlib.metadata.PackageNotFoundError:
        found = {dist.metadata["Name"]: dist.version for dist in importlib.metadata.distributions()}
        return dict(sorted(found.items()))
    versions = {}
    for requirement in asked:
        if match := re.match(r"[A-Za-z0-9._-]+", requirement):
            try:
                versions[match[0]] = importlib.metadata.version(match[0])
            except importlib.metadata.PackageNotFoundError:
                continue  # an extra that was not asked for
    return dict(sorted(versions.items()))


def environment() -> dict[str, Any]:
    """Python, system, processors, threads, libraries, accelerator. Torch is asked only if it is loaded."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "host": platform.node(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": {name: os.environ[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if name in os.environ},
        "libraries": library_versions(),
        **_torch(),
    }


def _torch() -> dict[str, Any]:
    torch = sys.modules.get("torch")
    if not hasattr(torch, "cuda") or not hasattr(torch, "get_num_threads"):  # absent, or still being imported
        return {}
    assert torch is not None
    cuda = torch.cuda.is_available()
    return {
        "torch_threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "cuda": torch.version.cuda if cuda else None,
    }
