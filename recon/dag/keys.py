"""The key of a stage: what its artifact depends on, hashed."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from fewview.recon.dag.digests import FileHashes, digest_of
from fewview.recon.dag.program import sources_of
from fewview.recon.stage import Stage


def encode(value: Any) -> Any:
    """JSON for the key: different values give different JSON.

    Of dataclasses, a field with `metadata={"key": False}` is left out, and of one with a function there, what the
    function makes of it counts: a path to files that are among the stage's sources says nothing of the results. What
    JSON has no type for is tagged.

    Raises:
        TypeError: a value whose meaning cannot be pinned down, such as an array, a function or a set.
    """
    if value is None or (isinstance(value, bool | str) and not isinstance(value, enum.Enum)):
        return value
    if isinstance(value, enum.Enum):
        return {"enum": f"{type(value).__name__}.{value.name}"}
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, PurePath):
        return {"path": value.as_posix()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {}
        for field in dataclasses.fields(value):
            counts, item = field.metadata.get("key", True), getattr(value, field.name)
            if counts:
                fields[field.name] = encode(counts(item) if callable(counts) else item)
        return {"dataclass": type(value).__name__, "fields": fields}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {"mapping": {key: encode(item) for key, item in value.items()}}
    raise TypeError(f"{value!r} ({type(value).__name__}) cannot be part of a stage's configuration")


def plain(value: Any) -> Any:
    """JSON for people: the whole resolved configuration, as the manifest shows it."""
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, PurePath):
        return value.as_posix()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    raise TypeError(f"{value!r} ({type(value).__name__}) cannot be part of a stage's configuration")


def ingredients(stage: Stage, inputs: Mapping[str, str], hashes: FileHashes) -> dict[str, Any]:
    """Everything the artifact of `stage` depends on, kept in its record so that a miss can be explained.

    Args:
        inputs: digest of the artifact of every needed stage.

    Raises:
        InputError: a source file is absent or unreadable.
    """
    return {
        "name": stage.name,
        "program": dict(sources_of(stage.run)),
        "config": encode(stage.config),
        "inputs": dict(sorted(inputs.items())),
        "sources": [
            {name: entry["sha256"] for name, entry in hashes.source(Path(source)).items()} for source in stage.sources
        ],
        "weights": list(stage.weights),
    }


def key_of(parts: Mapping[str, Any]) -> str:
    """SHA-256 of the ingredients."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Why two sets of ingredients differ, in words."""
    said = []
    if old.get("program") != new["program"]:
        said.append(_program_difference(old.get("program"), new["program"]))
    before, after = dict(_leaves(old["config"])), dict(_leaves(new["config"]))
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            said.append(f"{name or 'configuration'} is {after.get(name, 'gone')}, was {before.get(name, 'absent')}")
    changed = [name for name in new["inputs"] if old["inputs"].get(name) != new["inputs"][name]]
    changed += [name for name in old["inputs"] if name not in new["inputs"]]
    said += [f"`{name}` changed" for name in changed]
    was, now = _files(old["sources"]), _files(new["sources"])
    said += [f"{name} is new" for name in now if name not in was]
    said += [f"{name} is gone" for name in was if name not in now]
    said += [f"{name} changed" for name in now if name in was and now[name] != was[name]]
    if old["weights"] != new["weights"]:
        said.append("the weights changed")
    shown = "; ".join(said[:3]) + (f" and {len(said) - 3} more" if len(said) > 3 else "")
    return shown or "the order of its ingredients changed"


def _program_difference(old: Mapping[str, str] | None, new: Mapping[str, str]) -> str:
    if old is None:
        return "the program changed"  # the record is of an older one, or the sources changed while the stage ran
    changed = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    return f"the program changed ({changed[0]}{more})"


def _leaves(value: Any, path: str = "") -> list[tuple[str, str]]:
    if isinstance(value, dict) and "fields" in value:
        return [leaf for name, item in value["fields"].items() for leaf in _leaves(item, f"{path}.{name}".lstrip("."))]
    return [(path, json.dumps(value, sort_keys=True))]


def _files(sources: list[dict[str, str]]) -> dict[str, str]:
    return {
        name if len(sources) == 1 else f"source {i + 1}: {name}": digest
        for i, files in enumerate(sources)
        for name, digest in files.items()
    }


def overall_digest(artifacts: Mapping[str, str]) -> str:
    """One digest for all artifacts of a run."""
    return digest_of({name: {"sha256": digest} for name, digest in artifacts.items()})
