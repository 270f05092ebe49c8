"""Times as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewview.recon.durations import duration, rough


@pytest.mark.parametrize(
    ("seconds", "measured", "guessed"),
    [
        (0.04, "0.0 s", "5 seconds"),
        (9.94, "9.9 s", "10 seconds"),
        (9.96, "10 s", "10 seconds"),
        (59.6, "1 min 00 s", "1 minute"),
        (185, "3 min 05 s", "3 minutes"),
        (3599.7, "1 h 00 min", "60 minutes"),
        (7383, "2 h 03 min", "2 hours"),
    ],
)
def test_seconds_in_words(seconds: float, measured: str, guessed: str) -> None:
    assert duration(seconds) == measured
    assert rough(seconds) == guessed


@given(st.floats(0, 1e6))
def test_no_unit_overflows(seconds: float) -> None:
    figures = duration(seconds).split()
    assert all(float(value) < 60 for value, unit in zip(figures[::2], figures[1::2], strict=True) if unit != "h")
