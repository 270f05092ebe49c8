"""The printed page that tells photos how long a metre is: what is on it, and where a photo shows it.

AprilTags (Olson 2011; Wang and Olson 2016) of the family 36h11, found by OpenCV. The large one is seen from far away,
the small ones where it is hidden or too near; each is known by its number: any of them tells the place of the page.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from jaxtyping import Float, UInt8

PAGE_M = (0.21, 0.297)
"""A4, upright."""
TAGS: Mapping[int, tuple[float, float, float]] = {
    571: (0.03, 0.125, 0.15),
    572: (0.025, 0.065, 0.04),
    573: (0.085, 0.065, 0.04),
    574: (0.145, 0.065, 0.04),
}
"""By number: left and lower edge from the page's lower left corner, and side of the black square, metres. The
numbers are far from those that others print first; a tag needs a white margin of an eighth of its side, and has it."""
CHECK_M = (0.03, 0.18, 0.035)
"""Ends from the left, and height, of the line whose length is checked after printing, metres."""
CELLS = 8
"""Along the side of a tag, with its black border."""
_FAMILY = cv2.aruco.DICT_APRILTAG_36h11


def pattern(number: int) -> UInt8[np.ndarray, "8 8"]:
    """The cells of a tag, from its upper left: 0 black, 255 white."""
    return cv2.aruco.generateImageMarker(cv2.aruco.getPredefinedDictionary(_FAMILY), number, CELLS, borderBits=1)


def corners_m(number: int) -> Float[np.ndarray, "4 3"]:
    """Corners of a tag on the page from its upper left, clockwise: x right, y up, z towards who looks; metres."""
    left, low, side = TAGS[number]
    right, high = left + side, low + side
    return np.array([[left, high, 0], [right, high, 0], [right, low, 0], [left, low, 0]])


def find_tags(image: UInt8[np.ndarray, "H W 3"]) -> dict[int, Float[np.ndarray, "4 2"]]:
    """Corners of the page's tags in a photo, in the order of `corners_m`, pixels with centres at half-integers."""
    settings = cv2.aruco.DetectorParameters()
    # Fits lines to the sides, which is exact where others are biased by the blur of a photo; its pixels are ours.
    settings.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_APRILTAG
    detector = cv2.aruco.ArucoDetector(cv2.aruco.getPredefinedDictionary(_FAMILY), settings)
    corners, numbers, _ = detector.detectMarkers(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
    found: dict[int, Float[np.ndarray, "4 2"]] = {}
    twice: set[int] = set()
    for tag, quad in zip([] if numbers is None else numbers.ravel(), corners, strict=True):
        number = int(tag)
        if number in TAGS:
            twice |= {number} & found.keys()
            found[number] = quad.reshape(4, 2).astype(np.float64)
    # Two pages in one photo: nobody knows which corner is whose.
    return {number: quad for number, quad in found.items() if number not in twice}
