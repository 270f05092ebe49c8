"""Gaussians, rasterisers, joint optimisation of Gaussians and poses, export and rendering."""
