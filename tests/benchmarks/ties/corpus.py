"""The corpus: one row for each pair of photos whose matches survived verification."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from fewview.recon.matching.evidence import TieEvidence, measure
from fewview.recon.matching.verification import verify
from tests.benchmarks.ties.scenes import MIN_MATCHES, Scene

RIGHT, WRONG = 0.6, 0.3
"""Shares of the verified matches that are true, from which a tie is right and up to which it is wrong."""


@dataclass(frozen=True)
class Tie:
    """A pair with its truth."""

    scene: str
    kind: str
    a: str
    b: str
    model: str
    true_share: float
    """Of the verified matches."""
    evidence: TieEvidence

    @property
    def right(self) -> bool | None:
        """None where as many matches are true as are wrong: such a tie teaches nothing."""
        if self.true_share >= RIGHT:
            return True
        return False if self.true_share <= WRONG else None


def measured(scene: Scene, matcher: str) -> list[Tie]:
    """The ties among a scene's matched pairs; of pairs that were matched turned, too, the turned ones."""
    photos, ties = scene.photos, []
    turned = {(one[0], other[0]) for one, other in scene.raw if one[1] or other[1]}
    for (one, other), raw in sorted(scene.raw.items(), key=lambda item: item[0]):
        (a, qa), (b, qb) = one, other
        if (a, b) in turned and not (qa or qb):
            continue
        pair, keypoints = (photos[a], photos[b]), (scene.keypoints(one), scene.keypoints(other))
        features = scene.features[one], scene.features[other]
        max_error_px = scene.max_error_px(a, b)
        verified = verify(pair, keypoints, raw, max_error_px, MIN_MATCHES, 0)
        evidence = measure(matcher, pair, features, keypoints, raw, verified, max_error_px)
        if evidence is None:
            continue
        kept = verified.matches.pairs
        true = scene.agree(a, b, (keypoints[0][kept[:, 0]], keypoints[1][kept[:, 1]]))
        share = round(float(true.mean()), 4)
        ties.append(Tie(scene.name, scene.kind, photos[a].name, photos[b].name, verified.model, share, evidence))
    return ties


def save(path: Path, ties: Sequence[Tie]) -> None:
    """As CSV: what a tie is, then its evidence."""
    rows = [{**asdict(tie), "right": tie.right, **asdict(tie.evidence)} for tie in ties]
    for row in rows:
        del row["evidence"]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def load(path: Path) -> list[Tie]:
    """What `save` wrote."""
    kinds = {one.name: str if one.name == "matcher" else float for one in fields(TieEvidence)}
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Tie(
                *(row[name] for name in ("scene", "kind", "a", "b", "model")),
                float(row["true_share"]),
                TieEvidence(**{name: kind(row[name]) for name, kind in kinds.items()}),  # type: ignore[arg-type]
            )
            for row in csv.DictReader(file)
        ]
