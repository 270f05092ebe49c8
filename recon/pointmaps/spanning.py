"""Where the global alignment starts: photos joined along a maximum spanning tree of the pairs."""

from __future__ import annotations

from collections.abc import Sequence

from fewview.recon.geometry.pose import Sim3
from fewview.recon.pointmaps.pairs import Tie


def spanning_tree(ties: Sequence[Tie], names: Sequence[str]) -> list[Sim3]:
    """For each photo what takes its own map's frame to the world: from the best pair on, always the best that adds one.

    Raises:
        ValueError: the pairs do not tie all photos together.
    """
    if not ties:
        raise ValueError("every pair contradicts the others")
    left = sorted(ties, key=lambda one: (-one.pair.score, one.pair.i, one.pair.j))
    placed = {left[0].pair.i: Sim3.identity()}
    while len(placed) < len(names):
        best = next((one for one in left if (one.pair.i in placed) != (one.pair.j in placed)), None)
        if best is None:
            lost = min(set(range(len(names))) - set(placed))
            raise ValueError(f"no pair ties {names[lost]} to the others")
        i, j = best.pair.i, best.pair.j
        if i in placed:
            placed[j] = placed[i] @ best.second_to_first
        else:
            placed[i] = placed[j] @ best.second_to_first.inverse()
    return [placed[view] for view in range(len(names))]
