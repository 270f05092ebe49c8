"""Synthetic walkers before synthetic cameras, with exact truth."""

from data.people.capture import Capture, CaptureConfig, capture
from data.people.rigs import ring
from data.people.walker import Walker

__all__ = ["Capture", "CaptureConfig", "Walker", "capture", "ring"]
