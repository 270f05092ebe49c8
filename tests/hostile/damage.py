"""Damage to sound files, as Hypothesis strategies: bytes cut, changed and inserted; values of documents replaced."""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Damage = Callable[[bytes, st.DrawFn], bytes]

_NUMBERS = (
    *(struct.pack("<q", value) for value in (-1, 2**31 - 1, 2**31, 2**32, 2**40, 2**62, -(2**63))),
    *(struct.pack("<I", value) for value in (0, 1, 2**16, 2**31 - 1, 2**32 - 1)),
    *(struct.pack("<d", value) for value in (float("nan"), float("inf"), 1e300, -1.0)),
    *(struct.pack("<f", value) for value in (float("nan"), float("inf"), 1e38)),
    b"\0" * 16,
    b"\xff" * 16,
)
_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 7, 2**31, 2**63, 10**30, 10**400, 0.5, -0.0, 1e-320, 1e308, -1e308),
    *(float("nan"), float("inf"), "", "x", "nan", "7", "\0", "\ud800", "../../x", "a" * 300),
    *([], {}, [[]], [None], [1, 2, 3], [[1, 2], [3]], {"": 0}, [0] * 5000),
)
_TOKENS = (
    *("", "nan", "-nan", "inf", "1e999", "-1", "0", "1e300", "99999999999", "18446744073709551615", "9" * 5000),
    *(
        "x",
        "[",
        "]",
        "{",
        "}",
        '"',
        "'",
        "<",
        ">",
        "&lol;",
        "#",
        ":",
        "=",
        "- ",
        "\n",
        "\n\n",
        "\t",
        "\0",
        "é",
        "1 2 3",
    ),
    *("!!opencv-matrix", "true", "null", "2000-01-01", "true\n", "[" * 20_000, '{"a":' * 20_000),
)


def damaged_bytes(data: bytes, draw: st.DrawFn) -> bytes:
    """One stretch cut, overwritten, inserted, doubled or dropped; half of the damage strikes the first 200 bytes."""
    reach = draw(st.sampled_from([min(200, len(data)), len(data)]))
    at = draw(st.integers(0, max(0, reach - 1)))
    length = draw(st.sampled_from([1, 2, 4, 8, 40, 400]))
    what = draw(st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from(_NUMBERS)))
    how = draw(st.sampled_from(["cut", "overwrite", "overwrite", "insert", "drop", "double", "flip"]))
    if how == "cut":
        return data[:at]
    if how == "overwrite":
        return data[:at] + what + data[at + len(what) :]
    if how == "insert":
        return data[:at] + what + data[at:]
    if how == "drop":
        return data[:at] + data[at + length :]
    if how == "double":
        return data[: at + length] + data[at:]
    return data[:at] + bytes([data[at] ^ 1 << draw(st.integers(0, 7))]) + data[at + 1 :] if data else what


def damaged_text(data: bytes, draw: st.DrawFn) -> bytes:
    """One word, number or sign of a text replaced by an odd one, or bytes damaged."""
    text = data.decode("utf-8", "replace")
    words = list(re.finditer(r"[-+.\w]+|[^\s\w]", text))
    if not words or draw(st.integers(0, 3)) == 0:
        return damaged_bytes(data, draw)
    word = words[draw(st.integers(0, len(words) - 1))]
    return (text[: word.start()] + draw(st.sampled_from(_TOKENS)) + text[word.end() :]).encode("utf-8", "replace")


def damaged_json(data: bytes, draw: st.DrawFn) -> bytes:
    """One value of a JSON document replaced, removed, doubled or wrapped, or its text damaged."""
    if draw(st.integers(0, 3)) == 0:
        return damaged_text(data, draw)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return damaged_text(data, draw)
    box = [document]
    places = list(_places(box))
    parent, key = places[draw(st.integers(0, len(places) - 1))]
    how = draw(st.sampled_from(["replace", "replace", "replace", "remove", "wrap", "double"]))
    value = draw(st.sampled_from(_VALUES))
    if how == "replace" or parent is box:
        parent[key] = value
    elif how == "remove":
        del parent[key]
    elif how == "wrap":
        parent[key] = [parent[key]]
    elif isinstance(parent, list):
        parent.insert(key, parent[key])
    else:
        parent[f"{key}2"] = parent[key]
    return json.dumps(box[0]).encode()


def _places(container: Any) -> Any:
    """Every (container, key or index) of a document."""
    for key in list(container) if isinstance(container, dict) else range(len(container)):
        yield container, key
        if isinstance(container[key], dict | list):
            yield from _places(container[key])


def damaged_npz(data: bytes, draw: st.DrawFn) -> bytes:
    """One array of an npz damaged within a sound archive (checksums are right), or the archive damaged."""
    if draw(st.integers(0, 2)) == 0:
        return damaged_bytes(data, draw)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError, EOFError, zlib.error, NotImplementedError, RuntimeError, ValueError):
        return damaged_bytes(data, draw)
    if not members:
        return damaged_bytes(data, draw)
    name = draw(st.sampled_from(sorted(members)))
    how = draw(st.sampled_from(["damage", "damage", "drop", "swap"]))
    if how == "damage":
        members[name] = damaged_text(members[name], draw) if draw(st.booleans()) else damaged_bytes(members[name], draw)
    elif how == "drop":
        del members[name]
    else:
        members[name] = members[draw(st.sampled_from(sorted(members)))]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return out.getvalue()


def damage_for(name: str) -> Damage:
    """What suits a file of this name."""
    suffix = name.rpartition(".")[2]
    if suffix == "json":
        return damaged_json
    if suffix in ("toml", "yml", "txt", "jsonl", "csv"):
        return damaged_text
    return damaged_npz if suffix == "npz" else damaged_bytes


@st.composite
def damaged(draw: st.DrawFn, name: str, data: bytes) -> bytes:
    """The content of a file with one to three damages."""
    damage = damage_for(name)
    for _ in range(draw(st.integers(1, 3))):
        data = damage(data, draw)
    return data
