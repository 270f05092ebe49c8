"""Damaged splat files end in a clear InputError: never a crash, never an allocation beyond the file's own size."""

from __future__ import annotations

import contextlib
import gzip
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from splats import some_gaussians, written_elsewhere

from fewview.recon.errors import InputError
from fewview.splatting.export import read_ply, read_splat, read_spz, write_ply, write_splat, write_spz
from fewview.splatting.gaussians import Gaussians

Reader = Callable[[Path], Gaussians]
FORMATS = {"ply": (write_ply, read_ply), "splat": (write_splat, read_splat), "spz": (write_spz, read_spz)}


def refused_or_sound(read: Reader, path: Path, data: bytes) -> None:
    path.write_bytes(data)
    tracemalloc.start()
    with contextlib.suppress(InputError):
        gaussians = read(path)
        gaussians.check()
        assert all(bool(tensor.isfinite().all()) for tensor in vars(gaussians).values())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A small file of each format, and what is inside an SPZ of version 3."""
    folder = tmp_path_factory.mktemp("sound")
    files = {}
    for kind, (write, _) in FORMATS.items():
        write(folder / kind, some_gaussians(6, 1))
        files[kind] = (folder / kind).read_bytes()
    return files | {"inside": gzip.decompress(written_elsewhere(folder / "ply", "spz", 3))}


@given(
    st.sampled_from(["ply", "splat", "spz", "inside"]),
    st.integers(0, 10**6),
    st.binary(max_size=8),
    st.sampled_from(["cut", "overwrite", "insert", "replace"]),
)
def test_any_damage(
    sound: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory, kind: str, where: int, what: bytes, how: str
) -> None:
    data = sound[kind]
    # Half of the damage strikes the header.
    at = where % (120 if where % 2 and kind == "ply" else 16 if where % 2 else len(data))
    damaged = {
        "cut": data[:at],
        "overwrite": data[:at] + what + data[at + len(what) :],
        "insert": data[:at] + what + data[at:],
        "replace": what,
    }[how]
    if kind == "inside":
        kind, damaged = "spz", gzip.compress(damaged)
    refused_or_sound(FORMATS[kind][1], tmp_path_factory.getbasetemp() / "damaged", damaged)


def spz4(*sizes: int, count: int = 1, version: int = 4, streams: int | None = None, at: int = 32) -> bytes:
    """Version 4 of degree 0, with streams of zeros of these sizes."""
    parts = [zstandard.compress(bytes(size)) for size in sizes]
    head = struct.pack("<IIIBBBB", 0x5053474E, version, count, 0, 12, 0, len(parts) if streams is None else streams)
    table = b"".join(struct.pack("<QQ", len(part), size) for part, size in zip(parts, sizes, strict=True))
    return head + struct.pack("<I12x", at) + table + b"".join(parts)


SOUND = (9, 1, 3, 3, 4)
"""Bytes of the attributes of one Gaussian."""


def spz(count: int = 0, magic: int = 0x5053474E, version: int = 3, degree: int = 0, body: bytes = b"") -> bytes:
    return gzip.compress(struct.pack("<IIIBBBB", magic, version, count, degree, 12, 0, 0) + body)


@pytest.mark.parametrize(
    ("kind", "data", "why"),
    [
        ("ply", b"hello", "it is not a binary little-endian PLY"),
        ("ply", b"ply\nformat ascii 1.0\nelement vertex 1\nend_header\n", "it is not a binary little-endian PLY"),
        (
            "ply",
            b"ply\nformat binary_little_endian 1.0\nelement face 1\nend_header\n",
            "it holds more than vertices with float properties",
        ),
        ("splat", b"", "its size, 0 bytes, is no multiple of 32"),
        ("splat", b"\0" * 33, "its size, 33 bytes, is no multiple of 32"),
        ("splat", b"\xff" * 32, "it holds NaN or infinite values"),
        ("splat", b"\0" * 12 + struct.pack("<3f", 1, -1, 1) + b"\0" * 8, "it holds negative sizes"),
        ("spz", b"hello", "it is no gzip stream"),
        ("spz", gzip.compress(b"hello"), "it is cut short"),
        ("spz", spz4(*SOUND)[:20], "it is cut short"),
        ("spz", spz4(*SOUND)[:60], "it is cut short"),
        ("spz", spz4(*SOUND)[:-1], "it is cut short"),
        ("spz", spz4(*SOUND, at=2**31), "it is cut short"),
        ("spz", spz4(*SOUND, version=5), "it is of version 5, and 2, 3 and 4 are known"),
        ("spz", spz4(*SOUND, count=2**31), "it is too short for the 2147483648 Gaussians that it announces"),
        ("spz", spz4(*SOUND[:4]), "it holds 4 streams in place of 5"),
        ("spz", spz4(*SOUND[:4], 5), "a stream has 5 bytes in place of 4"),
        ("spz", spz4(*SOUND).replace(b"\x28\xb5\x2f\xfd", b"zstd"), "a stream is no zstd"),
        ("spz", spz(magic=1), "it does not begin like one"),
        ("spz", spz(version=1), "it is of version 1, and 2, 3 and 4 are known"),
        ("spz", spz(degree=4), "its spherical harmonics are of degree 4, and 3 is the most"),
        ("spz", spz(count=2**32 - 1), "it is too short for the 4294967295 Gaussians that it announces"),
        ("spz", spz(count=2, body=b"\0" * 39), "it is cut short"),
        ("spz", spz(count=1, body=b"\0" * 21), "it holds more than it announces"),
        ("spz", spz(count=1, body=b"\0" * 20)[:-1], "it is cut short"),
        ("spz", spz(count=1, body=b"\0" * 20)[:-8] + b"\0" * 8, "it is no gzip stream"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, kind: str, data: bytes, why: str) -> None:
    path = tmp_path / "splats"
    path.write_bytes(data)
    name = {"ply": "3DGS PLY", "splat": ".splat", "spz": "SPZ"}[kind]
    with pytest.raises(InputError) as caught:
        FORMATS[kind][1](path)
    assert caught.value.what.startswith(f"{path} is not a readable {name} file of splats: {why}")


def test_ply_says_what_it_lacks(tmp_path: Path, sound: dict[str, bytes]) -> None:
    cases = {
        "it is cut short": sound["ply"][:-1],
        "it lacks opacity": sound["ply"].replace(b"opacity", b"opucity"),
        "it lacks some of f_rest_": sound["ply"].replace(b"f_rest_8", b"some_rest"),
        "it is cut short.": sound["ply"].replace(b"vertex 6", b"vertex 99999999999999999999"),
        "it holds more than": sound["ply"].replace(b"vertex 6", b"vertex -6"),
    }
    for why, data in cases.items():
        (tmp_path / "splat.ply").write_bytes(data)
        with pytest.raises(InputError, match=why):
            read_ply(tmp_path / "splat.ply")


@pytest.mark.parametrize("kind", FORMATS)
def test_missing_files_are_named(tmp_path: Path, kind: str) -> None:
    for path in (tmp_path / "gone", tmp_path):
        with pytest.raises(InputError) as caught:
            FORMATS[kind][1](path)
        assert str(caught.value) == f"There is no file {path}. Name a file of Gaussian splats."
