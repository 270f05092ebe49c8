"""The folder of a run, read back: what the report and the app show. Loads no torch."""

from fewview.apps.results.model import (
    Failure,
    Fallback,
    PairResult,
    PhotoResult,
    ResultFile,
    Results,
    Rig,
    RigCamera,
    Room,
    StageResult,
    Training,
    WeightsUsed,
)
from fewview.apps.results.reading import read_results

__all__ = [
    "Failure",
    "Fallback",
    "PairResult",
    "PhotoResult",
    "ResultFile",
    "Results",
    "Rig",
    "RigCamera",
    "Room",
    "StageResult",
    "Training",
    "WeightsUsed",
    "read_results",
]
