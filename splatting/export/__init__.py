"""Splats as files that other programs read: one module a format, one writer and one reader each."""

from fewview.splatting.export.ply import read_ply, write_ply
from fewview.splatting.export.splat import read_splat, write_splat
from fewview.splatting.export.spz import read_spz, write_spz

__all__ = ["read_ply", "read_splat", "read_spz", "write_ply", "write_splat", "write_spz"]
