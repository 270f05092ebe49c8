"""Synthetic scenes with exact truth, and readers of photo sets with known cameras."""
