"""When training slows down and when it ends."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fewview.splatting.schedule import Schedule


def run(schedule: Schedule, losses: list[float]) -> list[float]:
    """The rates until the end."""
    rates: list[float] = []
    while len(rates) < schedule.end:
        rates.append(schedule.rate(len(rates)))
        schedule.observe(losses[len(rates) - 1])
    return rates


def test_all_steps_while_the_loss_falls() -> None:
    falling = list(np.exp(-np.arange(600) / 150))
    rates = run(Schedule(600, 3, 0.1, stop_early=True), falling)
    assert len(rates) == 600
    assert rates[:401] == [1.0] * 401
    assert 0.1 < rates[-1] < 0.102
    assert np.all(np.diff(rates[400:]) < 0)


def test_a_settled_loss_ends_training_after_a_full_fall() -> None:
    settled = [*np.exp(-np.arange(200) / 50), *[0.02] * 400]
    rates = run(Schedule(600, 3, 0.1, stop_early=True), settled)
    # Two windows of 60 steps must agree; the first pair that does ends at step 300 or 360, then 200 steps of fall.
    assert len(rates) in (500, 560)
    assert rates[-201] == 1.0
    assert 0.1 < rates[-1] < 0.102
    assert len(run(Schedule(600, 3, 0.1, stop_early=False), settled)) == 600


@given(steps=st.integers(1, 900), views=st.integers(1, 30), seed=st.integers(0, 99), early=st.booleans())
def test_rates_fall_from_full_to_final_whatever_the_losses(steps: int, views: int, seed: int, early: bool) -> None:
    schedule = Schedule(steps, views, 0.05, early)
    rates = run(schedule, list(np.random.default_rng(seed).random(steps)))
    assert 1 <= len(rates) <= steps
    assert np.all(np.diff(rates) <= 0)
    assert 0.05 <= rates[-1] <= 1.0
    if steps >= 3:
        assert rates[0] == 1.0
