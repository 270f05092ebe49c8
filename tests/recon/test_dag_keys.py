"""Keys and digests: different things hash differently, the same thing hashes the same."""

from __future__ import annotations

import enum
import hashlib
import json
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewview.recon.dag import digests
from fewview.recon.dag.digests import FileHashes, digest_of
from fewview.recon.dag.keys import difference, encode, key_of, plain


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Pair:
    left: Any
    right: Any


@dataclass(frozen=True)
class Riap:
    left: Any
    right: Any


leaves = (
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats() | st.text("ab", max_size=2)
    | st.sampled_from(Colour) | st.sampled_from([PurePosixPath("a"), PurePosixPath("a/b")])
)  # fmt: skip
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=2).map(tuple)
        | st.dictionaries(st.text("ab", max_size=2) | st.sampled_from(["path", "float", "enum"]), inner, max_size=2)
        | st.builds(Pair, inner, inner)
        | st.builds(Riap, inner, inner)
    ),
    max_leaves=5,
)


def text(value: Any) -> str:
    return json.dumps(encode(value), sort_keys=True, allow_nan=False)


@given(values, values)
def test_different_values_have_different_codes(a: Any, b: Any) -> None:
    def marked(value: Any) -> Any:  # like the value, but NaN equals itself and 1, 1.0 and True differ
        if isinstance(value, Pair | Riap):
            return (type(value).__name__, marked(value.left), marked(value.right))
        if isinstance(value, tuple):
            return ("tuple", *(marked(item) for item in value))
        if isinstance(value, dict):
            return ("dict", *sorted((key, marked(item)) for key, item in value.items()))
        return (type(value).__name__, repr(value))

    assert (text(a) == text(b)) == (repr(marked(a)) == repr(marked(b)))


@given(st.floats())
def test_floats_survive_exactly(value: float) -> None:
    decoded = json.loads(text(value))
    back = float(decoded["float"]) if isinstance(decoded, dict) else decoded
    assert math.isnan(back) if math.isnan(value) else back == value


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", lambda: 0, object(), {1: 2}])
def test_what_cannot_be_pinned_down_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="cannot be part of a stage's configuration"):
        encode(Pair(1, (value,)))


def test_key_is_pinned() -> None:
    """A change here redoes every artifact of every user: it must be meant."""
    parts = {
        "name": "photos", "program": {"recon/ingest.py": "ab"}, "config": encode(Pair((1, 2.5), Colour.RED)),
        "inputs": {}, "sources": [], "weights": [],
    }  # fmt: skip
    assert key_of(parts) == "065b67cd82fbed1392cb455a8d67ded94a1d961460c4347e92ab06002d9f36f4"


def test_readable_configuration() -> None:
    assert plain(Pair((Path("a/b"), math.inf), {"x": Colour.BLUE})) == {
        "left": ["a/b", "inf"],
        "right": {"x": "BLUE"},
    }


def test_differences_are_named() -> None:
    old: dict[str, Any] = {
        "name": "s", "program": {"a.py": "1"}, "config": encode(Pair(1, Pair(2, 3))), "inputs": {"a": "1"},
        "sources": [{"x.jpg": "1"}, {"m.png": "1"}], "weights": [],
    }  # fmt: skip
    new = {
        **old,
        "config": encode(Pair(1, Pair(4, 3))),
        "inputs": {"a": "2"},
        "sources": [{"x.jpg": "2"}, {}],
    }
    assert difference(old, new) == ("right.left is 4, was 2; `a` changed; source 2: m.png is gone and 1 more")


def test_digest_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b").write_bytes(b"b")
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / ".stage.json").write_text("the record is no part of it")
    files = FileHashes(tmp_path / "memory", tmp_path).folder(tmp_path)
    assert files == {
        "a": {"sha256": hashlib.sha256(b"a").hexdigest(), "bytes": 1},
        "deep/b": {"sha256": hashlib.sha256(b"b").hexdigest(), "bytes": 1},
    }
    renamed = {"a2": files["a"], "deep/b": files["deep/b"]}
    assert len({digest_of(files), digest_of(renamed), digest_of({"a": files["a"]}), digest_of({})}) == 4


def test_hashes_are_remembered_once_the_file_is_old_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, memory = tmp_path / "file", tmp_path / "memory"
    file.write_bytes(b"x")
    read = []
    digest = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *args: read.append(1) or digest(*args))

    def hashed() -> str:
        hashes = FileHashes(memory, tmp_path)
        value = hashes.file(file)
        hashes.save()
        return value

    assert [hashed(), hashed()] == [hashlib.sha256(b"x").hexdigest()] * 2
    assert len(read) == 2  # just written: it might change again within the same tick
    monkeypatch.setattr(digests, "_RACY_NS", 0)
    hashed()
    assert hashed() == hashlib.sha256(b"x").hexdigest()
    assert len(read) == 3
    memory.write_text("damaged")
    assert hashed() == hashlib.sha256(b"x").hexdigest()
    assert len(read) == 4
    stat = file.stat()
    time.sleep(0.02)  # more than a tick of the kernel's clock
    file.write_bytes(b"y")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # size and modification time as before
    assert hashed() == hashlib.sha256(b"y").hexdigest()
