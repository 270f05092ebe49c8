"""The log-odds that the matches of a pair are those of one scene seen twice."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recon.matching.evidence import TieEvidence

PRIOR_LOG_ODDS = 0.0
"""At which `tie_log_odds` is stated: of the pairs that survive verification, as many right as wrong. Who knows better
adds the difference."""

_WEIGHTS: Mapping[str, float] = {
    "bias": -5.0,
    "log_verified": 0.8,
    "survival": 3.0,
    "certain_share": 6.0,
    "log_match_rate": 0.5,
    "unique_share": 1.0,
}
"""Provisional, by hand."""


def tie_log_odds(evidence: TieEvidence) -> float:
    """Natural log-odds, at even prior odds, that the verified relative geometry of a pair is right."""
    measures = tie_measures(evidence)
    return float(sum(weight * measures[name] for name, weight in _WEIGHTS.items()))


def tie_measures(evidence: TieEvidence) -> dict[str, float]:
    """What the log-odds are linear in."""
    return {
        "bias": 1.0,
        "log_verified": float(np.log(evidence.verified / 50)),
        "survival": evidence.verified / max(evidence.raw, 1),
        "certain_share": evidence.certain_share,
        "log_match_rate": float(np.log(max(evidence.match_rate, 0.01) / 0.1)),
        "unique_share": evidence.unique_share,
    }
