"""The weights of `fewview.recon.sfm.belief`, fitted to true cameras; how well probabilities hold on unseen sets.

    python -m tests.benchmarks.places --cache MATCHED --json models.json

The models that mapping makes of the cases of `tests.benchmarks.cameras` are kept in the json file, right and wrong:
how many of each tie's matches agree with it. The weights are those under which
what is right is most probable; each set is also judged by weights that were fitted without it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize

from fewview.data.photosets import data_root
from fewview.recon.progress import LogProgress
from fewview.recon.sfm import MappingConfig
from fewview.recon.sfm.belief import WEIGHTS, Weights, believe
from fewview.recon.sfm.evidence import AGREES_SHARE, lost
from fewview.recon.sfm.focals import known_focals, starts
from fewview.recon.sfm.graph import MatchGraph, groups, load_graph
from fewview.recon.sfm.hypotheses import Scored, find_models
from fewview.recon.sfm.known import Known
from fewview.recon.sfm.mapping import find_sensors
from tests.benchmarks.cameras import CHOICES, COUNTS, cases, choose, restrict, set_folders, true_matches, true_views

Row = dict[str, Any]
_TRUE_SHARE = 0.5
"""Of the verified matches of a true tie, the true cameras allow so many at least."""
_EVALUATIONS = 240
_CERTAIN = 1e-4
"""No photo is believed more firmly than this in the fit: one label in so many is wrong."""


def collect(artifacts: Path, names: Sequence[str]) -> list[Row]:
    """The models of some photos of a set."""
    config = MappingConfig()
    with tempfile.TemporaryDirectory(prefix="fewview-") as folder:
        inputs = restrict(artifacts, names, Path(folder))
        graph = load_graph(inputs["photos"], inputs["matches"])
    sensors = find_sensors(graph, config.working_px, {})
    begin = starts(sensors, known_focals(graph, sensors, Known()), config.fields_of_view_deg)
    return rows_of(find_models(graph, sensors, begin, config.max_error_px, config.seed, LogProgress()), graph)


def rows_of(models: Sequence[Scored], graph: MatchGraph) -> list[Row]:
    """What is kept of models."""
    names = [photo.name for photo in graph.photos]
    return [
        {
            "photos": [names[i] for i in scored.model.photos],
            "ties": [(names[one.pair.a], names[one.pair.b], one.share) for one in scored.judged.pairs],
        }
        for scored in models
    ]


def held_rightly(row: Row, true: Collection[frozenset[str]]) -> list[str]:
    """The largest group of a model's photos that true ties hold together which agree with its poses.

    How exact its poses are is another matter: a wrong focal length bends a model all of whose ties are true.
    """
    place = {name: k for k, name in enumerate(row["photos"])}
    ties = [(place[a], place[b]) for a, b, share in row["ties"] if share >= AGREES_SHARE and frozenset((a, b)) in true]
    group = groups(len(place), ties)[0]
    return [row["photos"][k] for k in group] if len(group) > 1 else []


def probabilities(row: Row, odds: Mapping[frozenset[str], float], weights: Weights) -> np.ndarray:
    """Of the model's photos, in their order."""
    place = {name: k for k, name in enumerate(row["photos"])}
    ties = [((place[a], place[b]), share, weights.odds(odds[frozenset((a, b))])) for a, b, share in row["ties"]]
    agree = {ends: value - lost(share) for ends, share, value in ties if share >= AGREES_SHARE}
    against = {ends: value for ends, share, value in ties if share < AGREES_SHARE}
    return believe(range(len(place)), agree, against, weights).probability


def loss(rows: Sequence[Row], odds: Mapping[str, Mapping[frozenset[str], float]], weights: Weights) -> float:
    """Mean negative logarithm of the probability of what is right, per photo."""
    total, count = 0.0, 0.0
    for row in rows:
        p = np.clip(probabilities(row, odds[row["set"]], weights), _CERTAIN, 1 - _CERTAIN)
        right = np.array([name in row["right"] for name in row["photos"]])
        total -= row["weight"] * float(np.log(np.where(right, p, 1 - p)).sum())
        count += row["weight"] * len(p)
    return total / count


def unlike(rows: Sequence[Row]) -> list[Row]:
    """Of the models of one case, the first of each choice of photos and right ones; they count as much as one case."""
    found = {(tuple(row["photos"]), tuple(row["right"])): row for row in reversed(rows)}
    return [row | {"weight": 1 / len(found)} for row in found.values()]


def fit(
    rows: Sequence[Row], odds: Mapping[str, Mapping[frozenset[str], float]], begin: Weights, evaluations: int
) -> Weights:
    """The weights of the largest likelihood."""

    def weights(x: np.ndarray) -> Weights:
        return Weights(float(x[0]), *(float(np.exp(value)) for value in x[1:]))

    x = np.array([begin.prior, np.log(begin.scale), np.log(begin.agreeing)])
    found = minimize(
        lambda x: loss(rows, odds, weights(x)),
        x,
        method="Nelder-Mead",
        options={"maxfev": evaluations, "initial_simplex": x + np.vstack([np.zeros(len(x)), np.eye(len(x))])},
    )
    return weights(found.x)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=data_root() / "views")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--counts", nargs="*", type=int, default=COUNTS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--sets", nargs="*")
    parser.add_argument("--no-fit", action="store_true")
    options = parser.parse_args()
    folders = set_folders(options.data, options.cache)
    names = options.sets or sorted(folders)
    names = [name for name in names if (options.cache / name / "matches" / "pairs.json").is_file()]
    done: dict[str, list[Row]] = {}
    if options.json.is_file():
        done = json.loads(options.json.read_text(encoding="utf-8"))
    truths = {name: true_views(folders[name], options.cache / name) for name in names}
    for case in cases(names, options.counts, CHOICES, options.seeds):
        key, views = "{set}/{count}/{choice}/{seed}".format(**case), list(truths[case["set"]].values())
        if key in done or case["count"] > len(views):
            continue
        chosen = [views[i].name for i in choose(views, case["count"], case["choice"], case["seed"])]
        done[key] = collect(options.cache / case["set"], chosen)
        options.json.write_text(json.dumps(done) + "\n", encoding="utf-8")
        print(key, len(done[key]), flush=True)
    if options.no_fit:
        return
    odds, true = {}, {}
    for name in names:
        matched = true_matches(options.cache / name, truths[name])
        true[name] = {frozenset(ends) for ends, (right, _, all_) in matched.items() if right >= _TRUE_SHARE * all_ > 0}
        graph = load_graph(options.cache / name / "photos", options.cache / name / "matches")
        odds[name] = {
            frozenset((graph.photos[pair.a].name, graph.photos[pair.b].name)): (pair.log_odds - WEIGHTS.prior)
            / WEIGHTS.scale
            for pair in graph.pairs
        }
    rows = []
    for key, found in sorted(done.items()):
        if (name := key.split("/")[0]) in odds:
            rows += unlike([row | {"set": name, "right": held_rightly(row, true[name])} for row in found])
    fitted = fit(rows, odds, WEIGHTS, _EVALUATIONS)
    print(f"{len(rows)} models, loss {loss(rows, odds, WEIGHTS):.4f} as it is, {loss(rows, odds, fitted):.4f} fitted")
    print(fitted)
    stated, right = [], []
    for name in sorted({row["set"] for row in rows}):
        without = fit([row for row in rows if row["set"] != name], odds, fitted, _EVALUATIONS // 4)
        held = [row for row in rows if row["set"] == name]
        print(f"{name}: loss {loss(held, odds, without):.4f} by weights fitted without it", without, flush=True)
        for row in held:
            stated += probabilities(row, odds[name], without).tolist()
            right += [photo in row["right"] for photo in row["photos"]]
    p, is_right = np.array(stated), np.array(right)
    for low, high in zip(bins := (0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98, 1.01), bins[1:], strict=False):
        inside = (p >= low) & (p < high)
        if inside.any():
            print(f"stated {p[inside].mean():.3f}, right {is_right[inside].mean():.3f} of {inside.sum()}")


if __name__ == "__main__":
    main()
