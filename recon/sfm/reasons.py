"""Why photos could not be placed, in words, and what to photograph instead."""

from __future__ import annotations

from recon.errors import ReconstructionError
from recon.sfm.graph import MatchGraph

_NAMED = 6
"""More photos than this are counted, not named."""
_STEP = "Take photos that share at least half of what they show with a neighbour, a step to the side each time."


def why_left_out(graph: MatchGraph, i: int, was_mapped: bool) -> str:
    """One sentence on photo `i`.

    Args:
        was_mapped: it had a position that refinement then took away.
    """
    partners = graph.partners(i)
    if was_mapped:
        return "Too few of its points agree with the other photos: its first position was wrong."
    if not partners:
        return "It shows nothing that another photo shows too."
    matches, other = partners[0]
    return (
        f"It shares {matches} points with {graph.photos[other].name} and fewer with any other photo, "
        "and no position explains enough of them."
    )


def no_model(graph: MatchGraph) -> ReconstructionError:
    """No two photos could be placed."""
    names = [photo.name for photo in graph.photos]
    listed = ", ".join(names) if len(names) <= _NAMED else f"{len(names)} photos ({names[0]} to {names[-1]})"
    verified = [pair for pair in graph.pairs if len(pair.matches)]
    if not verified:
        return ReconstructionError(f"No two of the photos show the same thing: {listed}.", _STEP)
    best = max(verified, key=lambda pair: len(pair.matches))
    a, b = graph.photos[best.a].name, graph.photos[best.b].name
    if all(pair.model == "panoramic" for pair in verified):
        return ReconstructionError(
            f"The photos were taken from one spot by turning, which tells nothing of depth: {listed}.",
            "Take photos from different places, a step to the side each time.",
        )
    return ReconstructionError(
        f"The photos do not overlap enough to be placed: {listed}. "
        f"The best two, {a} and {b}, share {len(best.matches)} points.",
        _STEP,
    )
