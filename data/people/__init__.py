"""Synthetic walkers before synthetic cameras, with exact truth."""

from fewview.data.people.capture import Capture, CaptureConfig, capture
from fewview.data.people.rigs import ring
from fewview.data.people.walker import Walker

__all__ = ["Capture", "CaptureConfig", "Walker", "capture", "ring"]
