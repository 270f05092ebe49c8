"""Facts come back as they were told, from any manifest; what cannot be read back is refused when it is told."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewview.apps.pipeline import SPECS, PipelineConfig
from fewview.layout import STAGE as LAYOUT
from fewview.recon.depth import STAGE as DEPTH
from fewview.recon.depth import DepthFacts, ViewFact
from fewview.recon.facts import check_facts, checked_facts, read_facts, told_facts
from fewview.recon.stage import Stage


@dataclass(frozen=True)
class Part:
    name: str
    share: float
    note: str | None = None


@dataclass(frozen=True)
class Facts:
    count: int | None = None
    ratio: float | None = None
    done: bool = False
    size: tuple[int, int] | None = None
    names: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    by_name: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


numbers = st.floats(allow_nan=False, allow_infinity=False)
words = st.text(max_size=3)
facts = st.builds(
    Facts,
    count=st.none() | st.integers(),
    ratio=st.none() | numbers,
    done=st.booleans(),
    size=st.none() | st.tuples(st.integers(), st.integers()),
    names=st.lists(words, max_size=2).map(tuple),
    parts=st.lists(st.builds(Part, words, numbers, st.none() | words), max_size=2).map(tuple),
    by_name=st.dictionaries(words, st.lists(numbers, max_size=2).map(tuple), max_size=2),
)


@given(facts)
def test_facts_come_back_as_they_were_told(told: Facts) -> None:
    stored = json.loads(json.dumps(checked_facts(Facts, told), allow_nan=False))
    assert read_facts(Facts, stored) == told


@given(facts, facts)
def test_facts_told_bit_by_bit_add_up(first: Facts, second: Facts) -> None:
    both = read_facts(Facts, told_facts(first) | told_facts(second))
    for name in ("count", "names", "parts"):
        said = getattr(second, name)
        assert getattr(both, name) == (said if said != getattr(Facts(), name) else getattr(first, name))


def test_an_older_or_newer_manifest_is_read() -> None:
    stored = {"points": 7, "views": [{"name": "a.jpg", "verified": 1, "completed": 0.5, "confidence": 0.9, "new": 1}]}
    assert DEPTH.told(stored | {"unheard_of": [1]}) == DepthFacts((ViewFact("a.jpg", 1.0, 0.5, 0.9),), 7)
    assert DEPTH.told({}) == DepthFacts()
    assert LAYOUT.told({"room": False, "reason": "outdoors"}).walls is None


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        ({"count": "7"}, "the fact count is not of its type: '7'"),
        ({"count": True}, "the fact count is not of its type: True"),
        ({"done": None}, "the fact done is not of its type: None"),
        ({"size": [1]}, r"the fact size is not of its type: \[1\]"),
        ({"parts": [{"name": "a"}]}, "the fact parts lacks a part: {'name': 'a'}"),
        ({"parts": [{"name": "a", "share": "all"}]}, "the fact parts.share is not of its type: 'all'"),
        ({"by_name": []}, r"the fact by_name is not of its type: \[\]"),
    ],
)
def test_a_damaged_fact_is_named(stored: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=f"^{text}$"):
        read_facts(Facts, stored)


def test_what_json_lacks_becomes_unknown() -> None:
    assert told_facts(Facts(ratio=math.nan, count=1)) == {"ratio": None, "count": 1}
    with pytest.raises(TypeError, match=r"^Facts: the fact parts\.share is not of its type: None$"):
        checked_facts(Facts, Facts(parts=(Part("a", math.inf),)))


def test_a_stage_tells_its_own_facts_only() -> None:
    with pytest.raises(TypeError, match=r"^the stage's facts are DepthFacts, but it tells Facts$"):
        checked_facts(DepthFacts, Facts())


def test_facts_need_defaults() -> None:
    with pytest.raises(TypeError, match=r"^Part\.name has no default: what an older manifest lacks has to be read$"):
        check_facts(Part)
    with pytest.raises(TypeError, match=r"^dict is no dataclass: facts are$"):
        Stage("toy", check_facts, facts=dict)


def test_the_stages_of_the_program_fit_together() -> None:
    names = {spec.name for spec in SPECS.values()}
    config = PipelineConfig()
    for field_name, spec in SPECS.items():
        check_facts(spec.Facts)
        options = getattr(config, field_name)
        assert options == spec.Config()
        needs = spec.needs(options) if callable(spec.needs) else spec.needs
        assert set(needs) <= names


def test_what_a_stage_says_of_itself_is_read_without_what_computes() -> None:
    heavy = {"torch", "pycolmap", "open3d", "scipy", "kornia"}
    code = f"import sys, fewview.apps.pipeline; print(*{heavy} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == []
