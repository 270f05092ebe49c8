"""All kinds of hostile input, by name."""

from tests.hostile import name_kinds, photo_kinds, result_kinds, rig_kinds, scene_kinds  # noqa: F401 - they register
from tests.hostile.kinds import KINDS, Kind, Place

__all__ = ["KINDS", "Kind", "Place"]
