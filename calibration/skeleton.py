"""The joints that every detector's skeleton is mapped to."""

from __future__ import annotations

JOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    "left_big_toe", "right_big_toe", "left_small_toe", "right_small_toe", "left_heel", "right_heel",
)  # fmt: skip
"""COCO's 17 in COCO's order, then the feet. Joints that a detector lacks stay absent."""

LIMBS = (
    ("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"), ("shoulder", "hip"),
    ("ankle", "heel"), ("ankle", "big_toe"),
)  # fmt: skip
"""On either side of the body."""
SIDED = tuple((f"{side}_{a}", f"{side}_{b}") for a, b in LIMBS for side in ("left", "right"))
ACROSS = (("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"))

INDEX = {name: index for index, name in enumerate(JOINTS)}

_HEAD = (("nose", "left_eye"), ("nose", "right_eye"), ("left_eye", "left_ear"), ("right_eye", "right_ear"))
BONES = tuple((INDEX[a], INDEX[b]) for a, b in _HEAD + ACROSS + SIDED)
"""What is drawn: pairs of joints, by number."""

MIRRORED = tuple(
    INDEX[name.replace("left_", "right_") if name.startswith("left_") else name.replace("right_", "left_")]
    for name in JOINTS
)
"""For each joint the one on the other side of the body, itself in the middle."""
