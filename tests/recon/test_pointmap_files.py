"""The reader of pre-computed pointmaps: what is well formed is read, anything else is refused in words."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from fewview.recon.camera_source import parse_source
from fewview.recon.errors import InputError
from fewview.recon.io.pointmaps import PairPoints, ViewPoints, check_pointmaps, pointmap_files, read_pointmaps

WANTED = (
    "Give `photos` with `points` (N, H, W, 3) and `poses` (N, 4, 4), or with `pairs` (E, 2), `points_first` and "
    "`points_second` (E, H, W, 3): see docs/pointmaps.md."
)
VIEWS: dict[str, Any] = {
    "photos": np.array(["a.jpg", "b.jpg"]),
    "points": np.ones((2, 3, 4, 3), np.float32),
    "poses": np.tile(np.eye(4), (2, 1, 1)),
}
PAIRS: dict[str, Any] = {
    "photos": np.array(["a.jpg", "b.jpg"]),
    "pairs": np.array([[0, 1], [1, 0]]),
    "points_first": np.ones((2, 3, 4, 3), np.float32),
    "points_second": np.ones((2, 5, 6, 3), np.float32),
}
_UNKNOWN = np.full((2, 3, 4, 3), np.nan, np.float32)


def test_both_kinds_are_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "views.npz", **VIEWS, units="metre")
    views = read_pointmaps(tmp_path / "views.npz")
    assert isinstance(views, ViewPoints)
    assert (views.photos, views.units, views.points.shape) == (["a.jpg", "b.jpg"], "metre", (2, 3, 4, 3))
    assert (views.confidence == np.float32(np.e)).all()
    np.savez_compressed(tmp_path / "pairs.npz", **PAIRS, confidence_second=np.full((2, 5, 6), 3.0))
    pairs = read_pointmaps(tmp_path / "pairs.npz")
    assert isinstance(pairs, PairPoints)
    assert pairs.pairs.tolist() == [[0, 1], [1, 0]]
    assert pairs.confidence[1][0, 0, 0] == 3
    assert pointmap_files(tmp_path) == (tmp_path / "pairs.npz", tmp_path / "views.npz")
    assert parse_source(f"pointmaps:{tmp_path}").files() == pointmap_files(tmp_path)


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ({}, f"it holds nothing. {WANTED}"),
        ({"points": VIEWS["points"]}, f"it holds points. {WANTED}"),
        (
            VIEWS | {"photos": np.array(["a.jpg", "a.jpg"])},
            f"`photos` of it is no text, names no photo, or one twice. {WANTED}",
        ),
        (
            VIEWS | {"points": np.ones((2, 3, 4))},
            f"`points` of it has shape (2, 3, 4) and type float64, not (2, H, W, 3) numbers. {WANTED}",
        ),
        (
            VIEWS | {"points": np.ones((3, 3, 4, 3), np.float32)},
            f"`points` of it has shape (3, 3, 4, 3) and type float32, not (2, H, W, 3) numbers. {WANTED}",
        ),
        (
            VIEWS | {"confidence": np.ones((2, 4, 3))},
            f"`confidence` of it has shape (2, 4, 3) and type float64, not (2, 3, 4) numbers. {WANTED}",
        ),
        (
            VIEWS | {"poses": np.array([["x"]])},
            f"`poses` of it has shape (1, 1) and type <U1, not (2, 4, 4) numbers. {WANTED}",
        ),
        (
            VIEWS | {"points": _UNKNOWN},
            "it knows no point of a.jpg: all are NaN, or of confidence 1 or less. "
            "Give confidences above 1 to what is known, or none at all.",
        ),
        (
            PAIRS | {"confidence_second": np.ones((2, 5, 6))},
            "it knows no point of b.jpg: all are NaN, or of confidence 1 or less. "
            "Give confidences above 1 to what is known, or none at all.",
        ),
        (
            VIEWS | {"poses": 2 * VIEWS["poses"]},
            "it, photo a.jpg: a pose is not a rotation and a translation. "
            "Give camera-to-world poses, 4x4, OpenCV axes.",
        ),
        (VIEWS | {"units": np.array("feet")}, "`units` of it is feet. Choose from unknown, metre."),
        (
            PAIRS | {"pairs": np.array([[0, 2], [1, 0]])},
            f"`pairs` of it does not name two of its 2 photos in each row. {WANTED}",
        ),
        (
            PAIRS | {"pairs": np.array([[0, 0], [1, 0]])},
            f"`pairs` of it does not name two of its 2 photos in each row. {WANTED}",
        ),
    ],
)
def test_what_is_malformed_is_said(held: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(InputError) as error:
        check_pointmaps(held, "it")
    assert str(error.value) == message


def test_missing_and_unreadable_files_are_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There are no pointmaps at .*nowhere\. Check the path\."):
        pointmap_files(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"There is no npz file in .*\. Name the folder that holds the pointmaps"):
        pointmap_files(tmp_path)
    path = tmp_path / "maps.npz"
    path.write_bytes(b"these are words")
    with pytest.raises(InputError) as error:
        read_pointmaps(path)
    assert str(error.value) == f"{path} is not a readable npz file: it is no zip archive. {WANTED}"
    np.savez(path, photos=np.array([object()]), points=VIEWS["points"], poses=VIEWS["poses"])
    with pytest.raises(InputError, match="is not a readable npz file: Object arrays cannot be loaded"):
        read_pointmaps(path)


@given(st.data())
def test_damaged_files_are_refused_or_read(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **data.draw(st.sampled_from([VIEWS, PAIRS])))
    held = bytearray(buffer.getvalue())
    for place, value in data.draw(st.lists(st.tuples(st.integers(0, len(held) - 1), st.integers(0, 255)), max_size=6)):
        held[place] = value
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    path.write_bytes(held[: data.draw(st.integers(0, len(held)))] if data.draw(st.booleans()) else held)
    try:
        read = read_pointmaps(path)
    except InputError as error:
        assert str(path) in error.what  # noqa: PT017 - most are refused, not all
    else:
        assert read.photos == ["a.jpg", "b.jpg"]


_SHAPES = array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4)
_ANY = arrays(st.sampled_from([np.float32, np.float64, np.int32, np.bool_, np.uint8, "U3", np.complex64]), _SHAPES)


@given(st.sampled_from([VIEWS, PAIRS]), st.dictionaries(st.sampled_from(sorted(VIEWS | PAIRS)), _ANY, max_size=3))
def test_any_arrays_are_refused_or_fit_each_other(good: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    try:
        read = check_pointmaps(good | other, "it")
    except InputError:
        return
    if isinstance(read, ViewPoints):
        assert len(read.photos) == len(read.points) == len(read.confidence) == len(read.Ts_world_camera)
        np.testing.assert_allclose(np.linalg.det(read.Ts_world_camera[:, :3, :3]), 1)
    else:
        assert len(read.pairs) == len(read.points[0]) == len(read.points[1])
        assert read.pairs.max() < len(read.photos)
