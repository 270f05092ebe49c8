"""Damaged files end in a usable value or an error with a remedy; `tests.benchmarks.fuzz` tries for as long as asked."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hostile.fuzzing import Seeds
from tests.hostile.readers import READERS

EXAMPLES = 40


@pytest.fixture(scope="module", params=READERS)
def seeds(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Seeds:
    return Seeds(request.param, tmp_path_factory.mktemp("seeds"))


@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_are_refused_or_sound(seeds: Seeds, data: st.DataObject) -> None:
    seeds.example(data)
    seeds.check()
