"""Cameras, time offsets and 3D motion from people's 2D keypoints alone."""
