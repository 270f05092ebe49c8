"""Lenses, poses, clocks and joints from tracklets: pairs, view graph, first poses, bundle adjustment."""
