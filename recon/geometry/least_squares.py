"""Levenberg-Marquardt with the Schur complement, and the kernels that hold outliers down.

A solver is a `Problem`: what its unknowns cost, their normal equations, and how a step moves them. Unknowns that come
in many small groups of which none meets another (points, depths) are eliminated (Triggs et al., "Bundle Adjustment: A
Modern Synthesis", 1999, section 6.1), and never stand in the system that is solved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from jaxtyping import Float, Int

State = TypeVar("State")

_FIRST_DAMPING, _LEAST_DAMPING = 1e-3, 1e-7
_RELAX, _TIGHTEN = 5.0, 6.0
"""By which damping falls after a step that helps, and grows after one that does not."""
_TRIES = 6
"""Steps from one state, each shorter than the last, until one helps."""
_TRACE = 1e-9
"""Share of an eliminated diagonal, and so much besides, that keeps what nothing ties regular."""
_WORLD_TRACE = 1e-12
"""The same of the largest kept diagonal: position, orientation and scale of the world may be free."""


@dataclass(frozen=True)
class GemanMcClure:
    """Half the squared residual near 0, half the squared scale at infinity (Geman and McClure 1985)."""

    scale: float

    def cost(self, r2: Float[np.ndarray, "*N"]) -> Float[np.ndarray, "*N"]:
        """Of squared residuals."""
        return 0.5 * r2 / (1 + r2 / self.scale**2)

    def weight(self, r2: Float[np.ndarray, "*N"]) -> Float[np.ndarray, "*N"]:
        """By which squared residuals count in the normal equations."""
        return 1 / (1 + r2 / self.scale**2) ** 2


@dataclass(frozen=True)
class Groups:
    """K groups of d unknowns to eliminate, tied to n kept unknowns and to nothing else."""

    kept: Int[np.ndarray, " n"]
    """Which kept unknowns."""
    H: Float[np.ndarray, "K d d"]
    coupling: Float[np.ndarray, "K d n"]
    """Second derivatives by a group's unknowns and the kept ones."""
    g: Float[np.ndarray, "K d"]


@dataclass(frozen=True)
class NormalEquations:
    """A quadratic model of the cost: J^T J and J^T r of residuals times the square roots of their weights."""

    H: Float[np.ndarray, "N N"]
    """Of the kept unknowns."""
    g: Float[np.ndarray, " N"]
    groups: Sequence[Groups] = ()


class Problem(Protocol[State]):
    """What is minimised."""

    def cost(self, state: State) -> float: ...

    def normal_equations(self, state: State) -> NormalEquations: ...

    def moved(self, state: State, kept: Float[np.ndarray, " N"], eliminated: list[Float[np.ndarray, "K d"]]) -> State:
        """The state after a step of the kept and of the eliminated unknowns."""
        ...


def levenberg_marquardt(problem: Problem[State], state: State, iterations: int, settled: float) -> State:
    """The minimum of the cost next to `state`.

    Args:
        settled: relative decrease of the cost by one step that ends the descent.
    """
    damping, cost = _FIRST_DAMPING, problem.cost(state)
    for _ in range(iterations):
        equations, before = problem.normal_equations(state), cost
        for _ in range(_TRIES):
            trial = problem.moved(state, *damped_step(equations, damping))
            trial_cost = problem.cost(trial)
            if trial_cost < cost:
                state, cost, damping = trial, trial_cost, max(damping / _RELAX, _LEAST_DAMPING)
                break
            damping *= _TIGHTEN
        else:
            break
        if before - cost < settled * cost:
            break
    return state


def damped_step(
    equations: NormalEquations, damping: float
) -> tuple[Float[np.ndarray, " N"], list[Float[np.ndarray, "K d"]]]:
    """The step of the kept unknowns, and of each set of eliminated ones."""
    own = equations.H.diagonal()
    S, right, kept_apart = equations.H.copy(), -equations.g, []
    for groups in equations.groups:
        H, diagonal = groups.H.copy(), np.arange(groups.H.shape[1])
        H[:, diagonal, diagonal] = H[:, diagonal, diagonal] * (1 + damping) + _TRACE * (1 + H[:, diagonal, diagonal])
        inner = np.linalg.solve(H, np.concatenate([groups.coupling, groups.g[..., None]], axis=2))
        by_kept, alone = inner[..., :-1], inner[..., -1]
        flat = groups.coupling.reshape(-1, len(groups.kept))
        S[np.ix_(groups.kept, groups.kept)] -= flat.T @ by_kept.reshape(flat.shape)
        right[groups.kept] += flat.T @ alone.ravel()
        kept_apart.append((groups.kept, by_kept, alone))
    S[np.diag_indices_from(S)] += damping * own + _WORLD_TRACE * own.max()
    step = np.linalg.solve(S, right)
    return step, [-alone - by_kept @ step[kept] for kept, by_kept, alone in kept_apart]
