"""The log-odds that the matches of a pair are those of one scene seen twice.

A logistic regression on the measures of `fewview.recon.matching.evidence`, fitted by `python -m tests.benchmarks.ties`
on pairs of which the truth is known; every weight can only have the sign that reason gives it. Figures of fits that
leave each scene out, at even odds, right and wrong ties weighing alike:

- ALIKED with LightGlue, 1,493 ties of 20 scenes (1,154 right): area under the curve .88, log-loss .44, expected
  calibration error .04; 19 % of the wrong ties are believed and 20 % of the right ones refused. The threshold on the
  share of certain matches, by which ties were believed before: area .68, 44 % and 10 %; of 73 wrong ties between equal
  windows and columns it believes 69, the fit 14.
- SIFT, 111 ties of 7 scenes (80 right): area .76, log-loss .73; 24 % and 18 %. That is little to go by.

Two copies of one poster, or of one side of a turned box, are believed: only other photos tell these.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fewview.recon.matching.artifact import TieEvidence

_SOME, _MANY = 50, 400
"""Verified matches at which their number says nothing, and from which more of them say no more."""
_FRONT = 0.7
"""Share in front of both cameras below which less says no more: the pose may be that of the wrong lens."""
_EXACT = 0.005
"""Misfit of a lens that noise makes."""

SIGNS: Mapping[str, int] = {
    "bias": 0,
    "log_verified": 1,
    "survival": 1,
    "confidence": 1,
    "repetition": -1,
    "off_plane": 1,
    "front": 1,
    "lens_misfit": -1,
}
"""1: speaks for a tie; -1: against it; 0: either. Tried and left out, for a fit on other scenes gave them no weight:
the share of certain matches beside the mean confidence, the similarity and uniqueness of matches, their spread and
rate, the roll, and how many others a second geometry explains."""

WEIGHTS: Mapping[str, Mapping[str, float]] = {
    "aliked+lightglue": {
        "bias": -5.853,
        "log_verified": 0.973,
        "survival": 3.875,
        "confidence": 0.835,
        "repetition": -7.791,
        "off_plane": 0.524,
        "front": 4.736,
        "lens_misfit": -0.315,
    },
    "sift": {
        "bias": 6.933,
        "log_verified": 0.197,
        "survival": 1.822,
        "confidence": 0.0,
        "repetition": -11.334,
        "off_plane": 0.0,
        "front": 1.809,
        "lens_misfit": -0.187,
    },
}
"""By matcher."""


def tie_log_odds(evidence: TieEvidence) -> float:
    """Natural log-odds, at even prior odds, that the verified relative geometry of a pair is right.

    `fewview.recon.sfm.belief.Weights.odds` says how they count among the pairs that survive verification.
    """
    measures = tie_measures(evidence)
    return float(sum(weight * measures[name] for name, weight in WEIGHTS[evidence.matcher].items()))


def tie_measures(evidence: TieEvidence) -> dict[str, float]:
    """What the log-odds are linear in."""
    return {
        "bias": 1.0,
        "log_verified": float(np.log(min(evidence.verified, _MANY) / _SOME)),
        "survival": evidence.verified / max(evidence.raw, 1),
        "confidence": evidence.mean_confidence,
        "repetition": evidence.repetition,
        "off_plane": 1 - evidence.plane_share,
        "front": max(evidence.front_share, _FRONT),
        "lens_misfit": float(np.log(max(1 - evidence.lens, _EXACT))),
    }
