"""The parts of the app below its pages: uploads, run folders, the queue, the guess of the time left."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import struct
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fewview.apps.web.command import Choices, arguments
from fewview.apps.web.limits import Limits
from fewview.apps.web.progress import Progress, StageLine, estimate, look
from fewview.apps.web.queue import Job, Place, Queue
from fewview.apps.web.store import Run, Store, within
from fewview.apps.web.uploads import accept, safe_name, thumbnail
from fewview.recon.dag.live import Step
from fewview.recon.dag.process import session_of
from fewview.recon.errors import InputError

LIMITS = Limits(files=4, photo_bytes=200_000, upload_bytes=300_000, megapixels=1, waiting=2)


def photo(folder: Path, name: str = "a.jpg", size: tuple[int, int] = (80, 60)) -> Path:
    path = folder / name
    Image.effect_noise(size, 80).convert("RGB").save(path)
    return path


def huge_png(path: Path, side: int) -> Path:
    """Promises a picture of `side` x `side`, and holds none of it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b""))
    return path


def test_good_photos_are_accepted_under_safe_unique_names(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    files = [photo(tmp_path, "my photo:1+2.JPG"), photo(tmp_path / "other", "my photo:1+2.jpg")]
    first, second = accept(files, tmp_path, LIMITS)
    assert (first.name, second.name) == ("my_photo_1_2.jpg", "my_photo_1_2-2.jpg")
    assert Image.open(thumbnail(first, tmp_path)).size == (80, 60)


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("a.zip", lambda p: p.write_bytes(b"PK"), "a.zip is not a photo or a video. Unpack the archive and choose"),
        ("a.exe", lambda p: p.write_bytes(b"MZ"), "a.exe is not a photo or a video. Choose JPEG, PNG"),
        ("a.dng", lambda p: p.write_bytes(b"II"), "a.dng is a RAW file. Export it as JPEG"),
        ("a.jpg", lambda p: p.write_bytes(b""), "a.jpg is empty. Choose another file."),
        ("a.jpg", lambda p: p.write_text("<svg/>"), "a.jpg is not an image that can be decoded. Choose JPEG"),
        ("a.jpg", lambda p: p.write_bytes(os.urandom(200_001)), "a.jpg has 0 MiB. A photo may have 0."),
        ("a.png", lambda p: huge_png(p, 1001), "a.png has more than 1 megapixels. Shrink it"),
        ("a.png", lambda p: huge_png(p, 60_000), "a.png has more than 1 megapixels. Shrink it"),
    ],
)
def test_bad_uploads_are_refused_before_they_are_decoded(tmp_path: Path, name: str, make, message: str) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path / name)
    with pytest.raises(InputError) as caught:
        accept([tmp_path / name], tmp_path, LIMITS)
    assert str(caught.value).startswith(message)


def test_limits_on_all_files_and_on_where_they_lie(tmp_path: Path) -> None:
    served, elsewhere = tmp_path / "served", tmp_path / "elsewhere"
    served.mkdir()
    elsewhere.mkdir()
    files = [photo(served, f"{i}.png", (250, 100)) for i in range(5)]
    with pytest.raises(InputError, match=r"These are 5 files\. Choose at most 4"):
        accept(files, served, LIMITS)
    with pytest.raises(InputError, match=r"larger than 0 MiB\. Choose fewer"):
        accept(files[:4], served, Limits(files=4, upload_bytes=100_000))
    (served / "link.jpg").symlink_to(photo(elsewhere))
    for path in (served / "link.jpg", elsewhere / "a.jpg", served / ".." / "elsewhere" / "a.jpg", "/etc/passwd"):
        with pytest.raises(InputError, match=r"was not uploaded\. Choose the file again"):
            accept([path], served, LIMITS)


@given(st.text(max_size=200))
def test_a_safe_name_is_one_plain_file_name(name: str) -> None:
    safe = safe_name(name)
    assert Path(safe).name == safe
    assert safe not in ("", ".", "..")
    assert not safe.startswith((".", "-"))
    assert not set(safe) & set("/\\:+@= \0\n\"'<>&;$`|*?")
    assert safe.count(".") <= 1


def test_runs_are_found_by_their_names_only_and_swept_when_old(tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    mine, other = store.new(), store.new()
    assert store.find(mine.id) == mine
    for id in ("", ".", "..", "../runs", mine.id[:-1], f"{mine.id}/../{other.id}", ".served", None, 7, [mine.id]):
        assert store.find(id) is None  # type: ignore[arg-type]
    assert store.root.stat().st_mode & 0o077 == 0
    old = time.time() - 1000
    for path in (mine.photos, mine.folder):
        os.utime(path, (old, old))
    assert store.sweep(time.time() - 500, lambda: {mine.id}) == []
    assert store.sweep(time.time() - 500, set) == [mine.id]
    assert store.find(other.id) == other


def test_a_sweep_that_others_disturb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Runs that vanish while it looks, and one that cannot be deleted: the others still go."""
    served = Store(tmp_path / "runs").served
    store = Store(tmp_path / "runs")
    kept, *runs = (store.new() for _ in range(5))
    for run in (kept, *runs):
        photo(run.photos, "photo.jpg")
        for path in (run.photos, run.folder):
            os.utime(path, (0, 0))
    (kept.photos / "held.jpg").touch()
    os.utime(kept.photos, (0, 0))
    unlink, iterdir = os.unlink, Path.iterdir

    def deny(path: str, **where: Any) -> None:
        if path == "held.jpg":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        unlink(path, **where)

    def vanishing(folder: Path) -> Iterator[Path]:
        entries = list(iterdir(folder))
        if folder == store.root:
            shutil.rmtree(runs[0].folder)  # between the listing and the look
        return iter(entries)

    def busy() -> set[str]:
        shutil.rmtree(runs[1].folder, ignore_errors=True)  # between the look and the deletion
        return {runs[3].id}

    monkeypatch.setattr(os, "unlink", deny)
    monkeypatch.setattr(Path, "iterdir", vanishing)
    assert {runs[2].id} <= set(store.sweep(time.time() - 500, busy)) <= {runs[1].id, runs[2].id}
    assert [path.name for path in iterdir(kept.photos)] == ["held.jpg"]
    assert f"{kept.folder} is old and could not be deleted: [Errno 13] Permission denied" in caplog.text
    monkeypatch.undo()
    shutil.rmtree(store.root)
    assert store.sweep(time.time(), set) == []
    assert f"{served} could not be looked through" in caplog.text


def test_a_start_that_fails_does_not_stop_the_line(
    tmp_path: Path, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "runs")

    def outcome(*words: str) -> Progress:
        run = store.new()
        queue.submit(Job(run, words))
        deadline = time.monotonic() + 60
        while queue.place(run.id).state != "ended":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return look(queue.place(run.id), run.out, run.log, time.monotonic(), LIMITS)

    def told(progress: Progress) -> str:
        assert (progress.state, progress.moving) == ("failed", False)
        [problem] = progress.problems
        return f"{problem.what} {problem.remedy}"

    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(tmp_path / "no python"))
        assert told(outcome("--help")) == (
            "The run could not be started: No such file or directory. Try again in some minutes."
        )
    most, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        told_then = told(outcome("--help"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    assert told_then == "The run could not be started: Too many open files. Try again in some minutes."
    assert "embedded null byte" in told(outcome("run", "a\0b"))
    assert outcome("--help").state == "done"


def test_no_file_outside_a_run_is_found_in_it(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "secret").write_text("s")
    (tmp_path / "out" / "link").symlink_to(tmp_path / "secret")
    photo(tmp_path / "out", "in.png")
    assert within(tmp_path / "out", "in.png") == tmp_path / "out" / "in.png"
    for name in ("link", "../secret", str(tmp_path / "secret"), "absent"):
        assert within(tmp_path / "out", name) is None


def test_choices_become_a_command_that_parses(tmp_path: Path) -> None:
    run = Run("id", tmp_path)
    run.photos.mkdir()
    for i in range(2):
        photo(run.photos, f"{i}.jpg")
    scale = "0.jpg@1.5,2+1.jpg@3,4:0.jpg@5,6+1.jpg@7,8=2.5"
    words = arguments(run, Choices(preset="fast", layout=False, scale=scale))
    assert words[0] == "run"
    assert {"--no-layout", "fast", scale} <= set(words)
    with pytest.raises(InputError, match=r"A height of 18 m is no person's\. Give metres"):
        arguments(run, Choices(kind="people", height_m=18))


@pytest.fixture
def queue() -> Iterator[Queue]:
    line = Queue(LIMITS)
    yield line
    line.close()


def test_stopping_ends_the_child_and_everything_it_started(tmp_path: Path, queue: Queue) -> None:
    store = Store(tmp_path / "runs")
    runs = [store.new() for _ in range(20)]
    for run in runs:
        for i in range(2):
            photo(run.photos, f"{i}.jpg", (320, 240))
    words = [arguments(run, Choices(preset="fast")) for run in runs[:1]] * len(runs)
    took, refused = [], []
    for run, line in zip(runs, words, strict=True):
        try:
            queue.submit(Job(run, line))
            took.append(run)
        except InputError as error:
            refused.append(str(error))
        if len(took) == 1:
            while queue.place(run.id).state != "running":
                time.sleep(0.01)
    assert len(took) == 3
    assert refused == ["2 runs are waiting already. Try again in some minutes."] * 17
    assert [queue.place(run.id).ahead for run in took] == [0, 1, 2]
    with pytest.raises(InputError, match="at work already"):
        queue.submit(Job(took[0], words[0]))
    queue.stop(took[1].id)
    assert queue.place(took[1].id).stopped
    assert queue.place(took[2].id).ahead == 1
    deadline = time.monotonic() + 60
    while not (runs[0].out / "logs").is_dir() and time.monotonic() < deadline:
        time.sleep(0.1)
    (leader,) = (pid for pid in _children() if session_of(pid))
    queue.stop(took[0].id)
    assert session_of(leader) == []
    assert queue.place(took[0].id).stopped
    progress = look(queue.place(took[0].id), took[0].out, took[0].log, time.monotonic(), LIMITS)
    assert (progress.state, progress.moving) == ("stopped", False)


def _children() -> list[int]:
    """Leaders of sessions among the children of this process."""
    text = "".join(path.read_text() for path in Path("/proc/self/task").glob("*/children"))
    return [pid for pid in map(int, text.split()) if os.getsid(pid) == pid]


def test_a_failed_run_says_what_and_the_remedy(tmp_path: Path, queue: Queue) -> None:
    run = Store(tmp_path / "runs").new()
    photo(run.photos, "only.jpg", (320, 240))
    queue.submit(Job(run, ("run", str(run.photos), "--out", str(run.out), "--preset", "fast")))
    deadline = time.monotonic() + 60
    while (place := queue.place(run.id)).state != "ended" and time.monotonic() < deadline:
        time.sleep(0.1)
    progress = look(place, run.out, run.log, time.monotonic(), LIMITS)
    assert progress.state == "failed"
    (problem,) = progress.problems
    assert problem.what == "photos: There is only one photo, only.jpg."
    assert problem.remedy.startswith("Give at least 2 photos")


def test_the_time_left_follows_the_speed_of_the_machine() -> None:
    def stages(factor: float) -> tuple[StageLine, ...]:
        return (
            StageLine("photos", "ok", 1, 1 * factor),
            StageLine("matches", "ok", 1, 13 * factor),
            StageLine("depth", "running", 0.5, 6 * factor),
            StageLine("splat", "planned", 0, None),
            StageLine("mesh", "skipped", 0, None),
        )

    step = Step("depth", 5, 10)
    share, left = estimate(stages(1), step, 20)
    assert left == pytest.approx(6 + 33, rel=0.01)
    assert share == pytest.approx(20 / 59, abs=0.02)
    _, slow = estimate(stages(10), step, 200)
    assert left is not None
    assert slow is not None
    assert 6 * left < slow <= 10 * left
    waiting = look(Place("waiting", 3), Path("nowhere"), Path("nowhere"), 0, LIMITS)
    assert waiting.headline == "Waiting: 3 runs come first (at most 2 wait)."
