"""Room layout: planes, floor plan and a watertight room from the cameras, depth and splats of a few photos."""

from layout.stage import LayoutConfig, run

__all__ = ["LayoutConfig", "run"]
