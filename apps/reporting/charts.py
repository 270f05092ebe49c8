"""The learning curve, the table of matches and the stages' times, as numbers to draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fewview.apps.results import PairResult, StageResult, Training

_MOST_CURVE_POINTS = 200
_CELL_PX = 34.0
_MATRIX_PX = 520.0
"""The table of matches is not larger: cells of many photos are small and hold no figures."""
_MATRIX_MARGIN_PX = 28.0
_LEGIBLE_PX = 30.0
_LABEL_PX = 22.0
_STRONG = 200
"""Fewer matches than this are drawn pale, even where no pair has more."""


@dataclass(frozen=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True)
class Curve:
    width: float
    height: float
    points: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    first_db: float
    last_db: float


def learning_curve(training: Training, photos: int) -> Curve | None:
    """PSNR over steps, each point the mean over as many steps as there are photos; None where there are no steps."""
    count = len(training.psnr_db)
    if not count:
        return None
    parts = np.array_split(np.arange(count), max(1, min(count // max(photos, 1), _MOST_CURVE_POINTS)))
    steps = np.array([np.asarray(training.steps)[part].mean() for part in parts])
    psnr = np.array([np.asarray(training.psnr_db)[part].mean() for part in parts])
    width, height, left, bottom = 640.0, 220.0, 44.0, 30.0
    low, high = np.floor(psnr.min()), np.ceil(psnr.max())
    high = max(high, low + 1)

    def x(step: float) -> float:
        return float(left + (width - left - 16) * step / training.steps[-1])

    def y(value: float) -> float:
        return float(10 + (height - bottom - 10) * (high - value) / (high - low))

    every_db, every_step = nice_step(high - low), nice_step(training.steps[-1])
    return Curve(
        width,
        height,
        " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in zip(steps, psnr, strict=True)),
        tuple(Tick(round(x(at), 1), f"{at:g}") for at in np.arange(0, training.steps[-1] + 1e-9, every_step)),
        tuple(
            Tick(round(y(at), 1), f"{at:g}")
            for at in np.arange(np.ceil(low / every_db) * every_db, high + 1e-9, every_db)
        ),
        round(float(psnr[0]), 1),
        round(float(psnr[-1]), 1),
    )


def nice_step(span: float) -> float:
    """Of 1, 2 or 5 times a power of ten, the one that divides `span` into about four."""
    power = 10 ** np.floor(np.log10(span / 4))
    return float(power * min((1, 2, 5, 10), key=lambda step: abs(span / (step * power) - 4)))


@dataclass(frozen=True)
class Cell:
    x: float
    y: float
    a: str
    b: str
    verified: int
    strength: float
    """0 to 1."""


@dataclass(frozen=True)
class Matrix:
    side: float
    margin: float
    """Above and left of the cells, for the labels."""
    cell: float
    legible: bool
    """Cells are large enough for figures."""
    labels: tuple[Tick, ...]
    cells: tuple[Cell, ...]


def match_matrix(pairs: Sequence[PairResult], numbers: Mapping[str, int]) -> Matrix:
    """Who matches whom: both halves are drawn, since people look along rows."""
    cell = min(_CELL_PX, (_MATRIX_PX - _MATRIX_MARGIN_PX) / max(len(numbers), 1))
    most = max([_STRONG, *(pair.verified for pair in pairs)])

    def at(number: int) -> float:
        return round(_MATRIX_MARGIN_PX + (number - 1) * cell, 2)

    cells = []
    for pair in pairs:
        if pair.verified:
            places = at(numbers[pair.a]), at(numbers[pair.b])
            strength = round((pair.verified / most) ** 0.5, 3)
            cells += [Cell(x, y, pair.a, pair.b, pair.verified, strength) for x, y in (places, places[::-1])]
    every = max(1, -(-_LABEL_PX // cell))
    labels = [Tick(round(at(n) + cell / 2, 2), str(n)) for n in numbers.values() if (n - 1) % every == 0]
    side = round(_MATRIX_MARGIN_PX + len(numbers) * cell, 2)
    return Matrix(side, _MATRIX_MARGIN_PX, round(cell, 2), cell >= _LEGIBLE_PX, tuple(labels), tuple(cells))


@dataclass(frozen=True)
class StageBar:
    stage: StageResult
    share: float
    """Of the longest, in percent."""


def stage_bars(stages: Sequence[StageResult]) -> tuple[StageBar, ...]:
    longest = max((stage.seconds or 0.0 for stage in stages), default=0.0) or 1.0
    return tuple(StageBar(stage, round(100 * (stage.seconds or 0.0) / longest, 1)) for stage in stages)
