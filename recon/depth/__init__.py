"""Dense depth from posed photos: multi-view stereo, completion and pruning."""

from recon.depth.stage import DepthConfig, run

__all__ = ["DepthConfig", "run"]
