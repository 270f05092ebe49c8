"""Stage `cameras`: where the photos were taken from, by incremental mapping of the matches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from recon.errors import InputError
from recon.progress import Progress


@dataclass(frozen=True)
class MappingConfig:
    """How cameras are found."""

    fields_of_view_deg: tuple[float, ...] = (60.0, 45.0, 80.0)
    """Along the long side: starting values for photos that do not record their focal length."""
    working_px: int = 1024
    """Errors are measured in pixels of photos shrunk to this long side."""
    max_error_px: float = 4.0
    """Observations that are further off are left out."""
    min_observations: int = 12
    """A photo that sees fewer points counts as not placed."""
    seed: int = 0
    """Of the random sampling."""

    def __post_init__(self) -> None:
        if not self.fields_of_view_deg or not all(0 < angle < 170 for angle in self.fields_of_view_deg):
            raise InputError(
                "Starting fields of view must be between 0 and 170 degrees.", "Give one or more, such as 60."
            )
        if self.max_error_px <= 0 or self.min_observations < 6 or self.working_px < 64:
            raise InputError(
                "max_error_px must be positive, min_observations at least 6 and working_px at least 64.",
                "Correct the mapping options.",
            )


def run(inputs: Mapping[str, Path], config: MappingConfig, out: Path, progress: Progress) -> None:
    """Place the photos: `cameras.json`, `sparse/0` and `transforms.json` in `out` (docs/artifacts.md).

    Run it in a child process: pycolmap aborts on what it takes for a bug.

    Args:
        inputs: `photos` and `matches`.

    Raises:
        ReconstructionError: the photos do not overlap enough to place two of them.
    """
    from recon.sfm.stage import place_photos  # pycolmap takes a second to import

    place_photos(inputs["photos"], inputs["matches"], config, out, progress)


__all__ = ["MappingConfig", "run"]
