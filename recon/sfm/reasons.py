"""Why photos could not be placed, in words, and what to photograph instead."""

from __future__ import annotations

from collections.abc import Sequence

from fewview.recon.errors import ReconstructionError
from fewview.recon.sfm.graph import MatchGraph
from fewview.recon.sfm.kinds import from_one_spot, is_repeated, stands_still, stood_still

_NAMED = 6
"""More photos than this are counted, not named."""
_STEP = "Take photos that share at least half of what they show with a neighbour, a step to the side each time."


UNSUPPORTED = "Too few of its points agree with the other photos: its first position was wrong."
CONTRADICTED = "What it shares with the other photos contradicts every place that was tried: it was thrown out."
VAGUE = "What it shares with the other photos tells too little of where it was taken: its place is only a guess."
LOOSE = "It shares points with one placed photo only, which does not tell how far away it was taken."

MISFIT = (
    "Its points fit several times worse than those of the other photos: "
    "it shows what only resembles them, or is mirrored."
)


def unsure(probability: float) -> str:
    """Of a photo whose ties do not make its place probable enough."""
    return (
        "What it shares with the other photos may only look alike: "
        f"its place would be right with a probability of {probability:.0%}."
    )


def why_left_out(graph: MatchGraph, i: int, placed: Sequence[int], fate: str | None) -> str:
    """One sentence on photo `i`.

    Args:
        placed: the photos of the final model.
        fate: why a position that it had was taken away.
    """
    partners = graph.partners(i)
    if not partners:
        return "It shows nothing that another photo shows too."
    pair, other = partners[0]
    name = graph.photos[other].name
    if not any(partner.log_odds > 0 for partner, _ in partners):
        certain = f"of {len(pair.matches)} matches, {pair.expected:.0f} are likely right."
        if is_repeated(pair):
            return f"What it shares with {name} looks like repeated structure: {certain}"
        return f"What it shares with {name} is too little to be sure of, or only looks alike: {certain}"
    if fate is not None:
        return fate
    if pair.model == "panoramic" or stands_still(graph, pair):
        return f"It was taken from the same spot as {name}, which tells nothing of depth."
    if not any(partner.log_odds > 0 and k in placed for partner, k in partners):
        return f"It goes with {name}, but nothing certain ties the two to the other photos."
    return (
        f"It shares {len(pair.matches)} points with {name} and fewer with any other photo, "
        "and no position explains enough of them."
    )


def no_model(graph: MatchGraph) -> ReconstructionError:
    """No two photos could be placed; masks are named, since they may be why."""
    error = _no_model(graph)
    masked = sum(photo.mask is not None for photo in graph.photos)
    if not masked:
        return error
    return ReconstructionError(
        f"{error.what} Masks hide parts of {masked} of the {len(graph.photos)} photos.",
        f"{error.remedy} Or move the masks away, so that the background can match.",
    )


def _no_model(graph: MatchGraph) -> ReconstructionError:
    names = [photo.name for photo in graph.photos]
    listed = ", ".join(names) if len(names) <= _NAMED else f"{len(names)} photos ({names[0]} to {names[-1]})"
    verified = [pair for pair in graph.pairs if len(pair.matches)]
    if not verified:
        most = max(graph.pairs, key=lambda pair: pair.raw, default=None)
        if most is None or not most.raw:
            return ReconstructionError(f"No two of the photos show the same thing: {listed}.", _STEP)
        a, b = graph.photos[most.a].name, graph.photos[most.b].name
        return ReconstructionError(
            f"The photos show different things, or the same from too far apart or too different sides: {listed}. "
            f"The best two, {a} and {b}, share {most.raw} points, and no one position explains them.",
            _STEP,
        )
    if stood_still(graph):
        return ReconstructionError(
            f"The camera stood still, and what the photos share is its background: {listed}.",
            "Walk around the thing instead of turning it; or hide the background with masks "
            "(a folder `masks` beside the photos).",
        )
    if from_one_spot(graph):
        return ReconstructionError(
            f"The photos were taken from one spot by turning or zooming, which tells nothing of depth: {listed}.",
            "Take photos from different places, a step to the side each time.",
        )
    best = max(verified, key=lambda pair: len(pair.matches))
    a, b = graph.photos[best.a].name, graph.photos[best.b].name
    if not any(pair.log_odds > 0 for pair in verified):
        return ReconstructionError(
            f"The photos do not overlap enough, or what they share only looks alike: {listed}. "
            f"The best two, {a} and {b}, share {len(best.matches)} points, of which {best.expected:.0f} "
            "are likely right.",
            _STEP,
        )
    return ReconstructionError(
        f"The photos do not overlap enough to be placed: {listed}. "
        f"The best two, {a} and {b}, share {len(best.matches)} points.",
        _STEP,
    )
