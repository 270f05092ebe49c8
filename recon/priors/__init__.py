"""Pointmaps."""
