"""Which joint of a detector's skeleton is which of ours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from fewview.calibration.skeleton import INDEX, JOINTS
from fewview.recon.errors import InputError


@dataclass(frozen=True)
class Skeleton:
    """A detector's skeleton."""

    name: str
    joints: int
    """How many it has."""
    places: dict[str, int]
    """For each of our joints that it has: the number in its order."""

    def to_common(self, values: Float[np.ndarray, "*n K C"]) -> Float[np.ndarray, "*n J C"]:
        """Values per joint in the order of `fewview.calibration.skeleton.JOINTS`; NaN where it lacks the joint."""
        assert values.shape[-2] == self.joints, (values.shape, self)
        out = np.full((*values.shape[:-2], len(JOINTS), values.shape[-1]), np.nan, values.dtype)
        for joint, place in self.places.items():
            out[..., INDEX[joint], :] = values[..., place, :]
        return out


def _named(name: str, joints: int, order: str) -> Skeleton:
    """From its joints as `L` and `R` with a short name, in the detector's order; `-` is none of ours."""
    sides = {"L": "left_", "R": "right_"}
    places = {}
    for place, short in enumerate(order.split()):
        if short != "-":
            places[short if short == "nose" else sides[short[0]] + short[1:]] = place
    assert set(places) <= set(JOINTS), set(places) - set(JOINTS)
    return Skeleton(name, joints, places)


_COCO = "nose Leye Reye Lear Rear Lshoulder Rshoulder Lelbow Relbow Lwrist Rwrist Lhip Rhip Lknee Rknee Lankle Rankle"
_OPENPOSE_FEET = "Lbig_toe Lsmall_toe Lheel Rbig_toe Rsmall_toe Rheel"

SKELETONS = {
    skeleton.name: skeleton
    for skeleton in (
        _named("COCO_17", 17, _COCO),
        _named("HALPE_26", 26, f"{_COCO} - - - Lbig_toe Rbig_toe Lsmall_toe Rsmall_toe Lheel Rheel"),
        _named(
            "BODY_25",
            25,
            "nose - Rshoulder Relbow Rwrist Lshoulder Lelbow Lwrist - Rhip Rknee Rankle Lhip Lknee Lankle "
            f"Reye Leye Rear Lear {_OPENPOSE_FEET}",
        ),
        _named("BODY_25B", 25, f"{_COCO} - - {_OPENPOSE_FEET}"),
        _named(
            "BLAZEPOSE_33",
            33,
            "nose - Leye - - Reye - Lear Rear - - Lshoulder Rshoulder Lelbow Relbow Lwrist Rwrist - - - - - - "
            "Lhip Rhip Lknee Rknee Lankle Rankle Lheel Rheel Lbig_toe Rbig_toe",
        ),
    )
}
"""Orders as published: COCO keypoints, AlphaPose (Halpe), OpenPose (BODY_25, BODY_25B), MediaPipe."""


def find_skeleton(people: Float[np.ndarray, "*n K 3"], asked: str | None, where: str) -> Skeleton:
    """The skeleton of people given as (x, y, confidence) per joint.

    The number of joints says it, except that BODY_25 and BODY_25B have 25 both: the former's joint 8 is the middle of
    its hips 9 and 12.

    Args:
        asked: its name, where the user gave one.
        where: what the people were read from, for the error.

    Raises:
        InputError: no skeleton has that many joints, or the one asked for has not.
    """
    joints = people.shape[-2]
    fitting = [skeleton for skeleton in SKELETONS.values() if skeleton.joints == joints]
    if asked is not None:
        fitting = [skeleton for skeleton in fitting if skeleton.name == asked]
    if not fitting:
        known = ", ".join(f"{skeleton.name} ({skeleton.joints})" for skeleton in SKELETONS.values())
        says = f", not those of {asked}" if asked else ""
        raise InputError(f"The people in {where} have {joints} joints each{says}.", f"Known skeletons: {known}.")
    if len(fitting) == 1:
        return fitting[0]
    return SKELETONS["BODY_25" if _has_middle_hip(people.reshape(-1, joints, 3)) else "BODY_25B"]


def _has_middle_hip(people: Float[np.ndarray, "N 25 3"]) -> bool:
    """Whether joint 8 lies between joints 9 and 12 in most people that have the three."""
    seen = people[(people[:, [8, 9, 12], 2] > 0).all(axis=1)]
    if not len(seen):
        return True
    hips = seen[:, 9, :2] - seen[:, 12, :2]
    off = seen[:, 8, :2] - (seen[:, 9, :2] + seen[:, 12, :2]) / 2
    trunk = np.linalg.norm(seen[:, 8, :2] - seen[:, 0, :2], axis=1)
    return float(np.median(np.linalg.norm(off, axis=1) / (np.linalg.norm(hips, axis=1) + trunk + 1e-9))) < 0.1
