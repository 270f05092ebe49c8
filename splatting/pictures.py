"""Renders as 8-bit pictures: colours, depth, normals, and how a render differs from its photo."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

_BAR_PX = 34
"""Height of the strip under a depth picture that holds its colour scale."""
_UNKNOWN = 40
"""Grey of what has no depth or normal."""

Range = tuple[float, float]
"""Nearest and farthest depth of a colour scale, scene units."""


def to_8bit(image: Float[np.ndarray, "*shape 3"]) -> UInt8[np.ndarray, "*shape 3"]:
    """[0, 1] to 0..255, clipped and rounded."""
    return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)


def compared(
    photo: Float[np.ndarray, "H W 3"], rendered: Float[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "H W"]
) -> UInt8[np.ndarray, "H 3*W 3"]:
    """Photo | render | absolute error (mean of the channels, black = 0, white = 0.5 or more); ignored pixels grey."""
    error = np.abs(photo - np.clip(rendered, 0, 1)).mean(-1, keepdims=True).repeat(3, -1) * 2
    shown = np.where(mask[..., None], error, np.float32(0.25))
    return np.concatenate([to_8bit(photo), to_8bit(rendered), to_8bit(shown)], axis=1)


def depth_range(depth: np.ndarray) -> Range | None:
    """The 1st to the 99th percentile of what is known, or None where nothing is."""
    known = depth[np.isfinite(depth) & (depth > 0)]
    if not known.size:
        return None
    near, far = map(float, np.percentile(known, [1, 99]))
    return near, max(far, near * 1.001)


def depth_colours(depth: Float32[np.ndarray, "H W"], span: Range) -> UInt8[np.ndarray, "H W 3"]:
    """Depth in the colours of turbo (near = red), evenly spaced in inverse depth; unknown pixels are dark grey."""
    known = np.isfinite(depth) & (depth > 0)
    near, far = span
    share = (1 / depth[known] - 1 / far) / (1 / near - 1 / far)
    picture = np.full((*depth.shape, 3), _UNKNOWN, np.uint8)
    picture[known] = _turbo(share[None])[0]
    return picture


def depth_picture(
    depth: Float32[np.ndarray, "H W"], units: str, span: Range | None = None
) -> UInt8[np.ndarray, "H+34 W 3"]:
    """`depth_colours` with a labelled scale beneath; the scale spans `span`, or the picture's own range."""
    height, width = depth.shape
    picture = np.full((height + _BAR_PX, width, 3), _UNKNOWN, np.uint8)
    span = span or depth_range(depth)
    if span is None:
        return picture
    picture[:height] = depth_colours(depth, span)
    picture[height : height + 14] = _turbo(np.linspace(1, 0, width)[None])
    near, far = span
    labels = max(2, min(5, width // 90))
    for index in range(labels):
        t = index / (labels - 1)
        text = f"{1 / (1 / near + t * (1 / far - 1 / near)):.3g}" + (f" {units}" if index == labels - 1 else "")
        width_px = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.38, 1)[0][0]
        x = int(np.clip(t * width - width_px / 2, 2, width - width_px - 2))
        cv2.putText(picture, text, (x, height + 28), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (230, 230, 230), 1, cv2.LINE_AA)
    return picture


def normal_picture(normal: Float[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W 3"]:
    """Unit normals of the camera frame in the usual colours: red to the right, green up, blue towards the camera.

    Unknown (NaN) pixels are dark grey.
    """
    picture = np.full(normal.shape, _UNKNOWN, np.uint8)
    known = np.isfinite(normal).all(-1)
    picture[known] = to_8bit(0.5 + 0.5 * normal[known] * np.array([1, -1, -1], np.float32))
    return picture


def _turbo(share: Float[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W 3"]:
    return cv2.applyColorMap(np.round(np.clip(share, 0, 1) * 255).astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1]
