"""What the handlers share: the store, the queue, the limits; and how a visitor's run is looked up."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import secrets
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from fewview.apps.results import Results, read_results
from fewview.apps.web.command import Choices, arguments
from fewview.apps.web.limits import Limits
from fewview.apps.web.progress import Progress, look
from fewview.apps.web.queue import Job, Queue
from fewview.apps.web.store import Run, Store, within
from fewview.recon.dag.files import read_json
from fewview.recon.errors import InputError


@dataclass(frozen=True)
class Server:
    """One running app."""

    store: Store
    queue: Queue
    limits: Limits
    shown: Path | None = None
    """The finished run that `fewview view` shows to everybody; None: each visitor has runs of their own."""
    _salt: bytes = field(default_factory=lambda: secrets.token_bytes(16))

    def run(self, id: str) -> Run:
        """The visitor's run.

        Raises:
            InputError: there is none.
        """
        run = self.store.find(id)
        if run is None:
            raise InputError("There is no run.", "Choose photos and press Reconstruct.")
        return run

    def out(self, id: str) -> Path | None:
        """The folder of results that this visitor may see; None where there is none yet."""
        if self.shown is not None:
            return self.shown
        run = self.store.find(id)
        return run.out if run is not None and (run.out / "manifest.json").is_file() else None

    def progress(self, id: str) -> Progress:
        """How far the visitor's run is."""
        run = self.store.find(id)
        if run is None:
            return Progress("idle", "No run yet.")
        return look(self.queue.place(id), run.out, run.log, time.monotonic(), self.limits)

    def results(self, id: str) -> Results | None:
        """What the visitor's run came to so far."""
        out = self.out(id)
        return None if out is None else read_results(out)

    def artifacts(self, id: str) -> dict[str, str]:
        """The digest of each finished stage of what the visitor may see, and as "run" whose it is."""
        out = self.out(id)
        manifest = read_json(out / "manifest.json") if out is not None else None
        if manifest is None:
            return {}
        stages = manifest["stages"].items()
        made = {name: str(entry["digest"]) for name, entry in stages if entry["status"] in ("ok", "cached")}
        return {"run": id, "state": manifest["state"], **made}

    def start(self, run: Run, choices: Choices) -> None:
        """Puts a run in line; its choices are kept for when it is run again.

        Raises:
            FewviewError: a choice is wrong, or the queue takes no more.
        """
        self.queue.submit(Job(run, arguments(run, choices)))
        (run.folder / "choices.json").write_text(json.dumps(dataclasses.asdict(choices)), encoding="utf-8")

    def choices(self, run: Run) -> Choices:
        """Those that it was last started with."""
        return Choices(**json.loads((run.folder / "choices.json").read_text(encoding="utf-8")))

    def rescale(self, run: Run, scale: str) -> None:
        """Runs again as last time, but with the given `--scale`: from the cameras on, as those alone read it.

        Raises:
            InputError: the cameras come from people, or the queue takes no more.
        """
        choices = self.choices(run)
        if choices.kind == "people":
            raise InputError("The scale of this run comes from a person.", "Give that person's height instead.")
        self.start(run, dataclasses.replace(choices, scale=scale))

    def bundle(self, results: Results) -> Path:
        """The folder of what is served of a run in its present state; its name cannot be guessed."""
        state = f"{results.out} {results.digest}".encode()
        folder = self.store.served / hashlib.sha256(self._salt + state).hexdigest()
        folder.mkdir(exist_ok=True)
        return folder

    def publish(self, results: Results, name: str) -> str | None:
        """Makes a file of a run servable: where it now stands, or None where the run has none.

        Args:
            name: relative to the run's folder.
        """
        path = within(results.out, name)
        if path is None:
            return None
        target = self.bundle(results) / name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, target)
            except FileExistsError:  # another request was faster
                pass
            except OSError:  # another file system
                shutil.copyfile(path, target)
        return str(target)
