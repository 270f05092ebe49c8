"""What the rasteriser costs: milliseconds a training step by part, beside plain torch, memory, and arithmetic used."""

from fewview.splatting.bench.rasteriser import benchmark_rasteriser

__all__ = ["benchmark_rasteriser"]
