"""What the readers of all splat formats share: opening a file, and saying what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from fewview.recon.errors import InputError
from fewview.splatting.gaussians import Gaussians


def read_bytes(path: Path) -> bytes:
    """The whole file.

    Raises:
        InputError: there is no such file.
    """
    try:
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise InputError(f"There is no file {path}.", "Name a file of Gaussian splats.") from None


def malformed(path: Path, kind: str, why: str) -> InputError:
    """`kind` is the format as users call it, `why` says what is wrong."""
    return InputError(f"{path} is not a readable {kind} file of splats: {why}.", "Export it again, or name another.")


def checked(gaussians: Gaussians, path: Path, kind: str) -> Gaussians:
    """`gaussians` with unit quaternions.

    Raises:
        InputError: a value is NaN or infinite.
    """
    for tensor in vars(gaussians).values():
        if not bool(tensor.isfinite().all()):
            raise malformed(path, kind, "it holds NaN or infinite values")
    return gaussians.normalized()


def logits_of_bytes(opacities: UInt8[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    """A byte stands for an interval: its ends have no logit, the middle of the outermost half steps does."""
    alpha = np.clip(opacities / 255, 0.25 / 255, 254.75 / 255)
    return np.log(alpha / (1 - alpha))
