"""The program's own sources that a stage can import, hashed: a change of code must never serve old results.

What counts is what running the stage can load: its module, the project's modules that it imports, those that they
import and so on, also inside functions; the `__init__` of every package on the way; a package's native libraries, as
built; and the files beside a module that its text names, such as a template. Names are relative to the folder that
holds the project's packages, so that two machines, and a checkout and a wheel, agree. Contents count as they are: a
changed comment is a change.

Modules go by their names below the program's own (`recon.dag`, not `fewview.recon.dag`): so they lie in its folder.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fewview.recon.dag.environment import PROGRAM

_NATIVE = frozenset({".so", ".pyd", ".dylib"})
_IMPORT = re.compile(
    rb"^[ \t]*(?:from[ \t]+(?P<module>[.\w]+)[ \t]+import[ \t]*(?P<names>\((?:[^)#]|#[^\n]*)*\)|(?:[^\n#\\]|\\\n)*)"
    rb"|import[ \t]+(?P<modules>(?:[^\n#\\]|\\\n)*))",
    re.MULTILINE,
)
"""Import statements. Python's own parser takes 200 times as long, and a test holds this against it. What looks like an
import in a text is taken for one, which does no harm."""

_PREFIX = f"{PROGRAM}."
_NOISE = re.compile(rb"#[^\n]*|[()\\]")


def sources_of(run: Callable[..., Any] | str) -> Mapping[str, str]:
    """SHA-256 of every source that `run` can import, by its name below the project's folder.

    Sources are read once a process, and taken to be what it runs; `changed_since` says whether they still are.

    Args:
        run: a function, or "module:name".

    Raises:
        ValueError: the function's module has no source file.
    """
    return _closure(run.partition(":")[0] if isinstance(run, str) else run.__module__)


def program_digest(run: Callable[..., Any] | str) -> str:
    """One digest for `sources_of(run)`."""
    lines = "".join(f"{name} {digest}\n" for name, digest in sources_of(run).items())
    return hashlib.sha256(lines.encode()).hexdigest()


def changed_since(run: Callable[..., Any] | str) -> bool:
    """Whether a source of `run` was written to since this process read it: then nobody knows what ran."""
    names = sources_of(run)
    return any(_identity(source.path) != source.identity for source in _SEEN.values() if source.name in names)


@dataclass(frozen=True)
class _Home:
    """A folder with packages of the project."""

    folder: str
    packages: frozenset[str]

    def file(self, module: str) -> str | None:
        """The source of a module, if it is of the project."""
        if module.partition(".")[0] not in self.packages:
            return None
        folder, _, name = f"{self.folder}/{module.replace('.', '/')}".rpartition("/")
        if f"{name}.py" in _names_in(folder):
            return f"{folder}/{name}.py"
        # Most names that are imported are no modules: asking the disk for each would take longer than all the rest.
        is_package = name in _names_in(folder) and "__init__.py" in _names_in(f"{folder}/{name}")
        return f"{folder}/{name}/__init__.py" if is_package else None


@dataclass(frozen=True)
class _Source:
    """One file as it was read."""

    name: str
    """Relative to its home."""
    path: str
    identity: tuple[int, ...]
    digest: str
    content: bytes


_SEEN: dict[str, _Source] = {}


@functools.cache
def _closure(start: str) -> Mapping[str, str]:
    homes, start = _homes(), start.removeprefix(_PREFIX)
    if not any(home.file(start) for home in homes):
        homes = (*homes, _home_of(start))
    found: dict[str, str] = {}
    waiting = [*_with_packages(start)]
    seen = set(waiting)
    while waiting:
        sources, imports = _module(homes, waiting.pop())
        found |= {source.name: source.digest for source in sources}
        waiting += imports - seen
        seen |= imports
    return MappingProxyType(dict(sorted(found.items())))


@functools.cache
def _homes() -> tuple[_Home, ...]:
    """Where the project's packages lie: one folder; a second with what was built, where it is installed editably."""
    folders = [Path(path) for path in sys.modules[PROGRAM].__path__]
    return tuple(_Home(str(folder), _packages(folder)) for folder in folders)


def _packages(folder: Path) -> frozenset[str]:
    return frozenset(path.name for path in folder.iterdir() if (path / "__init__.py").is_file())


def _home_of(module: str) -> _Home:
    """Of a stage that is none of the project's: its own package counts, too."""
    loaded = sys.modules.get(module)
    path = getattr(loaded, "__file__", None) if loaded else getattr(importlib.util.find_spec(module), "origin", None)
    if path is None:
        raise ValueError(f"the module {module} has no source file, so nobody can say whether it changed")
    depth = module.count(".") + (Path(path).name == "__init__.py")
    return _Home(str(Path(path).parents[depth]), frozenset({module.partition(".")[0]}))


@functools.cache
def _module(homes: tuple[_Home, ...], module: str) -> tuple[tuple[_Source, ...], frozenset[str]]:
    """What loading one module reads: its file, its package's native libraries, and the files beside it that it names.
    And the project's modules that it imports. Nothing where it is none of the project's."""
    home, path = next(((home, path) for home in homes if (path := home.file(module))), (None, None))
    if home is None or path is None:
        return (), frozenset()
    source = _read(path, home.folder)
    package = module if path.endswith("__init__.py") else module.rpartition(".")[0]
    beside = [
        _read(each, other.folder)
        for other in (homes if package else ())
        for each in _others(os.path.join(other.folder, *package.split(".")))
        if os.path.splitext(each)[1] in _NATIVE or os.path.basename(each).encode() in source.content
    ]
    return (source, *beside), frozenset(_imported(source.content, package, _tops(homes)))


@functools.cache
def _tops(homes: tuple[_Home, ...]) -> frozenset[str]:
    return frozenset().union(*(home.packages for home in homes))


@functools.cache
def _others(folder: str) -> tuple[str, ...]:
    """The files of a package that are no modules."""
    if not os.path.isdir(folder):
        return ()
    found = [each.path for each in os.scandir(folder) if each.is_file() and not each.name.endswith((".py", ".pyc"))]
    return tuple(sorted(found))


@functools.cache
def _names_in(folder: str) -> frozenset[str]:
    return frozenset(os.listdir(folder)) if os.path.isdir(folder) else frozenset()


def _read(path: str, folder: str) -> _Source:
    if path not in _SEEN:
        identity = _identity(path)
        with open(path, "rb") as file:
            content = file.read()
        name = os.path.relpath(path, folder).replace(os.sep, "/")
        _SEEN[path] = _Source(name, path, identity, hashlib.sha256(content).hexdigest(), content)
    return _SEEN[path]


def _identity(path: str) -> tuple[int, ...]:
    try:
        stat = os.stat(path)
    except OSError:
        return ()
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _imported(source: bytes, package: str, tops: frozenset[str]) -> Iterator[str]:
    """The modules below `tops` that a source in `package` imports, with the packages that hold them; and whatever else
    it imports from these, which may be modules."""
    for match in _IMPORT.finditer(source):
        if match["modules"] is not None:
            names = _names(match["modules"])
        else:
            base = _absolute(match["module"].decode(), package)
            names = [base]
            if base.removeprefix(_PREFIX).partition(".")[0] in tops:
                names += [f"{base}.{name}" for name in _names(match["names"])]
        for name in names:
            inner = name.removeprefix(_PREFIX)
            if inner.partition(".")[0] in tops:
                yield from _with_packages(inner)


def _with_packages(module: str) -> Iterator[str]:
    """A module and the packages that hold it: all are loaded."""
    yield module
    while "." in module:
        module = module.rpartition(".")[0]
        yield module


def _names(text: bytes) -> list[str]:
    """Of "a, b as c" in what parentheses there are."""
    plain = _NOISE.sub(b"", text).decode()
    return [words[0] for part in plain.split(",") if (words := part.split())]


def _absolute(name: str, package: str) -> str:
    """The module that a relative name means in a package, without what stands before the project's packages."""
    dots = len(name) - len(name.lstrip("."))
    if not dots:
        return name
    parents = package.split(".")
    return ".".join([*parents[: len(parents) - dots + 1], *([name[dots:]] if name[dots:] else [])])
