"""Options of runs that tests can afford."""

from dataclasses import replace

from fewview.apps.pipeline import PRESETS, PipelineConfig

QUICK = ("--preset", "fast", "--depth.long-side", "256", "--splat.long-side", "256")


def quick_preset() -> PipelineConfig:
    """The same as a preset."""
    fast = PRESETS["fast"]
    return replace(fast, depth=replace(fast.depth, long_side=256), splat=replace(fast.splat, long_side=256))
