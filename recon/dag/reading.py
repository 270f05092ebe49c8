"""Reading a finished run: damage is noticed, and so is a run that replaces artifacts meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fewview.recon.dag.artifact import WORK, changed_files, read_record
from fewview.recon.dag.digests import RECORD, FileHashes
from fewview.recon.errors import EnvironmentFault, InputError


def verify(out: Path, stage: str) -> None:
    """Raises InputError where the artifact of `stage` in `out` is not as the run made it. One without a record (copied
    from elsewhere) says nothing of that."""
    folder = out / stage
    record = read_record(folder)
    if record is None:
        return
    if changed := changed_files(folder, record, FileHashes(out / WORK / "hashes.json", out)):
        raise InputError(
            f"{folder / changed[0]} was changed or damaged since the run.",
            "Give the `fewview run` command again: it keeps the changed version aside, and makes the artifact anew.",
        )


@contextmanager
def reading(out: Path) -> Iterator[None]:
    """Raises EnvironmentFault where a run replaced an artifact in `out` while it was read within."""
    before = _digests(out)
    try:
        yield
    except (InputError, OSError) as error:
        _refuse_change(out, before, error)
        raise
    _refuse_change(out, before, None)


def _digests(out: Path) -> dict[str, str]:
    folders = [path.parent for path in out.glob(f"*/{RECORD}")]
    return {folder.name: record.digest for folder in folders if (record := read_record(folder)) is not None}


def _refuse_change(out: Path, before: dict[str, str], cause: BaseException | None) -> None:
    if _digests(out) != before:
        raise EnvironmentFault(
            f"{out} changed while it was read: a run is at work there.", "Wait until it has ended, and try again."
        ) from cause
