"""Calibration of synthetic captures against exact truth, and its cost for a minute and for hours.

    python -m tests.benchmarks.calibration --json calibration.json --seeds 20
    python -m tests.benchmarks.calibration --hours 10

The suite: 4 and 8 cameras on a ring of 6 m, k1 between 0 and -0.3, cameras started up to 3 s apart, 2 px of noise, 10 %
of the joints missing, 1 to 3 people of one known height, 20 s at 30 frames a second. Nothing but that height is told.
Seconds are CPU seconds.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from fewview.calibration.calibrate import calibrate_rig
from fewview.calibration.config import CalibrationConfig
from fewview.calibration.observations import Detections
from fewview.data.people import CaptureConfig
from fewview.recon.progress import LogProgress
from tests.calibration.captures import HEIGHT_M, compare, record

FPS = 30.0


def suite(seeds: int) -> list[dict[str, object]]:
    rows = []
    for cameras in (4, 8):
        for people in (1, 2, 3):
            for seed in range(seeds):
                views, truth = record(cameras, people, seed, CaptureConfig())
                start = time.process_time()
                rig, _ = calibrate_rig([truth.detections], CalibrationConfig(height_m=HEIGHT_M), LogProgress())
                row = {
                    "cameras": cameras,
                    "people": people,
                    "seed": seed,
                    "calibrated": len(rig.views),
                    **asdict(compare(rig, views, truth)),
                    "seconds": time.process_time() - start,
                }
                rows.append(row)
                print(json.dumps(row), flush=True)
    return rows


def summary(rows: list[dict[str, object]]) -> dict[str, object]:
    def column(name: str) -> np.ndarray:
        return np.array([row[name] for row in rows], float)

    return {
        "captures": len(rows),
        "all_cameras_calibrated": float((column("calibrated") == column("cameras")).mean()),
        "s_te_m_median": float(np.median(column("s_te_m"))),
        "s_te_m_95": float(np.percentile(column("s_te_m"), 95)),
        "rotation_deg_median": float(np.median(column("rotation_deg"))),
        "offset_frames_max": float(column("offset_s").max() * FPS),
        "offset_frames_median": float(np.median(column("offset_s")) * FPS),
        "scale_error_median": float(np.median(np.abs(column("scale")))),
        "scale_error_max": float(np.abs(column("scale")).max()),
        "seconds_median": float(np.median(column("seconds"))),
    }


def lengths(hours: float) -> list[dict[str, float]]:
    """A minute, and the same minute repeated over `hours`."""
    views, truth = record(4, 1, 0, CaptureConfig(duration_s=64.0))
    rows = []
    for repeats in (1, round(hours * 60)):
        detections = [_repeated(d, repeats) for d in truth.detections]
        start = time.process_time()
        rig, _ = calibrate_rig([detections], CalibrationConfig(height_m=HEIGHT_M), LogProgress())
        seconds = time.process_time() - start
        rows.append({"hours": repeats / 60, "seconds": seconds, **asdict(compare(rig, views, truth))})
        print(json.dumps(rows[-1]), flush=True)
    return rows


def _repeated(d: Detections, times: int) -> Detections:
    # A minute of every camera's own clock, so that the repeats stay synchronous.
    minute = round(60 * d.fps)
    return replace(
        d,
        xy=np.tile(d.xy[:minute], (times, 1, 1, 1)),
        confidence=np.tile(d.confidence[:minute], (times, 1, 1)),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--hours", type=float)
    options = parser.parse_args()
    if options.hours is not None:
        result: dict[str, object] = {"lengths": lengths(options.hours)}
    else:
        rows = suite(options.seeds)
        result = {"summary": summary(rows), "captures": rows}
        print(json.dumps(result["summary"], indent=2))
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
