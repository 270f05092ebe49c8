"""The log-odds that the matches of a pair are those of one scene seen twice.

A logistic regression on the measures of `fewview.recon.matching.evidence`, fitted by `python -m tests.benchmarks.ties`
on pairs of which the truth is known; every weight can only have the sign that reason gives it. On 1,045 ties of 9
scenes (845 right), each scene by a fit on the others: area under the curve .89, expected calibration error .04; of the
ties with even odds or better, 18 % of the wrong and 82 % of the right (the threshold on the matcher's confidence by
which `fewview.recon.sfm.graph` still decides: area .75, 36 % and 92 %). Sides of a tower with equal
windows and two copies of one poster are believed: only other photos tell these.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fewview.recon.matching.artifact import TieEvidence

PRIOR_LOG_ODDS = 0.0
"""At which `tie_log_odds` is stated: of the pairs that survive verification, as many right as wrong. Who knows better
adds the difference."""

SIGNS: Mapping[str, int] = {
    "bias": 0,
    "log_verified": 1,
    "survival": 1,
    "confidence": 1,
    "certain": 1,
    "unique": 1,
    "similarity": 1,
    "repetition": -1,
    "log_spread": 1,
    "log_match_rate": 1,
    "off_plane": 1,
    "front": 1,
    "lens_misfit": -1,
    "roll": -1,
}
"""1: speaks for a tie; -1: against it; 0: either."""

WEIGHTS: Mapping[str, float] = {
    "bias": -10.941,
    "log_verified": 1.063,
    "survival": 3.669,
    "confidence": 1.224,
    "certain": 0.707,
    "unique": 0.0,
    "similarity": 0.0,
    "repetition": -5.85,
    "log_spread": 0.045,
    "log_match_rate": 0.0,
    "off_plane": 1.683,
    "front": 6.47,
    "lens_misfit": -0.551,
    "roll": 0.0,
}
"""Fitted by `python -m tests.benchmarks.ties`."""


def tie_log_odds(evidence: TieEvidence) -> float:
    """Natural log-odds, at even prior odds, that the verified relative geometry of a pair is right."""
    measures = tie_measures(evidence)
    return float(sum(weight * measures[name] for name, weight in WEIGHTS.items()))


def tie_measures(evidence: TieEvidence) -> dict[str, float]:
    """What the log-odds are linear in."""
    return {
        "bias": 1.0,
        "log_verified": float(np.log(min(evidence.verified, 400) / 50)),
        "survival": evidence.verified / max(evidence.raw, 1),
        "confidence": evidence.mean_confidence,
        "certain": evidence.certain_share,
        "unique": evidence.unique_share,
        "similarity": evidence.similarity,
        "repetition": evidence.repetition,
        "log_spread": float(np.log(max(evidence.spread, 0.02))),
        "log_match_rate": float(np.log(max(evidence.match_rate, 0.01) / 0.1)),
        "off_plane": 1 - evidence.plane_share,
        "front": max(evidence.front_share, 0.7),
        "lens_misfit": float(np.log(max(1 - evidence.lens, 0.005))),
        "roll": min(evidence.roll_deg, 20) / 20,
    }
