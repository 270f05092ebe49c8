"""How fast to learn, and when to stop."""

from __future__ import annotations

import numpy as np


class Schedule:
    """Full rates at first, then an exponential fall to `final` over the last third; the fall begins sooner where the
    error has settled, and so training ends sooner.

    Settled: over a window of steps in which every view had its turn equally often, the mean loss fell by less than
    `least_gain` against the window before.

    Args:
        steps: at most.
        views: photos in training.
        final: rates end at this share.
        stop_early: False takes all steps.
    """

    least_gain = 0.02
    window_steps = 60

    def __init__(self, steps: int, views: int, final: float, stop_early: bool) -> None:
        self._fall = max(1, steps // 3)
        self._final = final
        self._stop_early = stop_early
        self._window = -(-self.window_steps // views) * views
        self._losses: list[float] = []
        self.end = steps
        """How many steps there will be, as far as is known."""

    def rate(self, step: int) -> float:
        """Share of the full rates at step 0, 1, ..."""
        progress = (step - (self.end - self._fall)) / self._fall
        return self._final ** min(max(progress, 0.0), 1.0)

    @property
    def falling(self) -> bool:
        """Whether the next step is one of the last, with falling rates: nothing but fine tuning shall happen then."""
        return len(self._losses) >= self.end - self._fall

    def observe(self, loss: float) -> None:
        """The loss of the step just done."""
        self._losses.append(loss)
        done = len(self._losses)
        if self._stop_early and not self.falling and done % self._window == 0 and done >= 2 * self._window:
            before, after = (np.mean(self._losses[done - k * self._window :][: self._window]) for k in (2, 1))
            if before - after < self.least_gain * before:
                self.end = done + self._fall
