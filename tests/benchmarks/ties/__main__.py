"""Makes the corpus, fits the log-odds of a tie, and prints how well they tell right from wrong.

    python -m tests.benchmarks.ties --cache FOLDER [--matcher sift]

FOLDER keeps the matches of every scene (delete it to match again: hours on one core, most of them for the photo sets,
which are found through FEWVIEW_DATA and left out where they are absent) and `MATCHER.csv`, the table that is fitted.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import torch
from scipy.special import expit

from fewview.data.gallery import DECEITS
from fewview.data.photosets import data_root
from fewview.recon.matching.aliked import AlikedLightGlue
from fewview.recon.matching.sift import Sift
from fewview.recon.matching.tie_odds import WEIGHTS
from fewview.recon.progress import LogProgress
from tests.benchmarks.ties import corpus, fit
from tests.benchmarks.ties.scenes import Scene, across, degraded, from_gallery, from_views, load_or_make

KEYPOINTS, FEW_KEYPOINTS = 2048, 1024
"""As `MatchingConfig` has it; and for what is small: rendered places and spoiled copies."""
SEEDS = (1, 2)
"""Of rendered places, of each kind."""
SIFT_PHOTOS = 10
SPOILED = ("kitchen25", "real_studio24", "lund_door12")


def scenes(cache: Path) -> Iterator[Scene]:
    """All scenes of the default matcher, made where the cache has them not."""
    matcher, small = (AlikedLightGlue(count, LogProgress()) for count in (KEYPOINTS, FEW_KEYPOINTS))
    sets = []
    for folder in _folders():
        sets.append(load_or_make(cache / f"{folder.name}.pkl", partial(from_views, folder, matcher)))
        yield sets[-1]
    for kind, seed in product(DECEITS, SEEDS):
        yield load_or_make(cache / f"{kind}_{seed}.pkl", partial(from_gallery, kind, seed, small))
    for folder in _folders():
        if folder.name in SPOILED:
            yield load_or_make(cache / f"{folder.name}_bad1.pkl", partial(degraded, folder, small, seed=1))
    yield load_or_make(cache / "across.pkl", partial(across, sets, matcher))


def scenes_of_sift(cache: Path) -> Iterator[Scene]:
    """Fewer of them: the fallback is dear to match, and nobody's first choice."""
    matcher = Sift(KEYPOINTS)
    for folder in _folders():
        yield load_or_make(cache / f"{folder.name}-sift.pkl", partial(from_views, folder, matcher, SIFT_PHOTOS))
    for kind in DECEITS:
        yield load_or_make(cache / f"{kind}-sift.pkl", partial(from_gallery, kind, 1, matcher))


def _folders() -> list[Path]:
    return sorted(file.parent for file in data_root().glob("views/*/cameras.json"))


def report(ties: list[corpus.Tie], matcher: str) -> None:
    """Figures of the rule that was replaced, of the committed weights, and of fits that left each scene out."""
    data, old = fit.sample(ties), fit.old_rule(ties)
    left_out = fit.left_out(data)
    print(f"{len(data.X)} ties of {len(np.unique(data.scene))} scenes, {data.right.sum()} right")
    weights = fit.fit(data)
    print(f"{matcher}: {weights}")
    for name, log_odds in (
        ("the old rule", old),
        ("as committed", fit.odds(data, WEIGHTS[matcher])),
        ("fitted now", fit.odds(data, weights)),
        ("leave one scene out", left_out),
    ):
        print(f"{name:20s} {fit.score(data, log_odds)}")
    print("leave one scene out: ties, stated probability, share that is right")
    for count, mean, right, _ in zip(*fit.reliability(data, expit(left_out)), strict=True):
        print(f"{count:6d} {mean:.2f} {right:.2f}")
    print("scene, right (refused now, by the old rule), wrong (believed now, by the old rule)")
    for name in np.unique(data.scene):
        right, wrong = ((data.scene == name) & (data.right == truth) for truth in (True, False))
        refused = [int((log_odds[right] <= 0).sum()) for log_odds in (left_out, old)]
        believed = [int((log_odds[wrong] > 0).sum()) for log_odds in (left_out, old)]
        print(f"{name:26s} {right.sum():4d} {refused!s:12s} {wrong.sum():4d} {believed}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, help="folder for matches and the table")
    parser.add_argument("--matcher", choices=list(WEIGHTS), default=AlikedLightGlue.name)
    parser.add_argument("--table", action="store_true", help="fit the table that is there, without measuring again")
    arguments = parser.parse_args()
    table = arguments.cache / f"{arguments.matcher}.csv"
    if not arguments.table:
        torch.set_num_threads(1)
        made = scenes_of_sift if arguments.matcher == Sift.name else scenes
        ties = [tie for scene in made(arguments.cache) for tie in corpus.measured(scene, arguments.matcher)]
        corpus.save(table, ties)
    report(corpus.load(table), arguments.matcher)


if __name__ == "__main__":
    main()
