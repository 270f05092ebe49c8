"""Interpreters of this program's own: how they start, are looked at, and end with all that they started.

Every child process that runs a part of the program is an `OwnProcess`; one that is asked through standard input begins
with `asked` and ends with `leave`.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from fewview.recon.stage import import_path

ORPHANED = 113
_PR_SET_PDEATHSIG = 1
_START = "import sys; sys.path[:] = {path!r}; from {module} import {name}; sys.exit({name}())"
_PATIENCE_S = {signal.SIGINT: 5.0, signal.SIGTERM: 2.0, signal.SIGKILL: 10.0}
"""How long each signal gets."""
_POLL_S = 0.01


def command(function: Callable[[], Any], *arguments: str) -> list[str]:
    """Words that start an interpreter which calls `function` with `sys.argv[1:]` set to `arguments`.

    It imports from where this process does, and from nowhere else: `python -m` would look into the working folder
    first, which is the user's, and take an `apps/`, a `data.py` or a `random.py` there for the program's or Python's.

    Args:
        function: importable, of a module.
    """
    module, _, name = import_path(function).partition(":")
    path = [os.path.abspath(folder) for folder in sys.path]
    return [sys.executable, "-P", "-u", "-c", _START.format(path=path, module=module, name=name), *arguments]


class OwnProcess:
    """A function of this program at work in a process, with a process group, of its own.

    Ctrl-C reaches the process that started it alone, which then ends it. Of several threads each may wait or end it.
    """

    def __init__(
        self,
        function: Callable[[], Any],
        *arguments: str,
        log: BinaryIO,
        request: Any = None,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        inherit: Sequence[int] = (),
        session: bool = False,
    ) -> None:
        """Starts it.

        Args:
            log: open file for what it says.
            request: what `asked` gives it, picklable; it then dies with this process.
            environment: added to that of this process.
            folder: where it works; that of this process unless given.
            inherit: open files that it gets.
            session: give it a session, too, by which `end` finds all that it started, in whatever group.

        Raises:
            OSError: it cannot be started.
        """
        message = None if request is None else pickle.dumps(request)
        self._session = session
        self._ending = threading.Lock()
        self._process = subprocess.Popen(
            command(function, *arguments),
            stdin=subprocess.DEVNULL if message is None else subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=inherit,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            process_group=None if session else 0,
            start_new_session=session,
        )
        self.pid = self._process.pid
        if message is not None:
            assert self._process.stdin is not None
            try:
                # Where it died while it started, whoever waits for it will see.
                with contextlib.suppress(BrokenPipeError):
                    self._process.stdin.write(message)
                    self._process.stdin.flush()
            except BaseException:  # Ctrl-C: nobody else knows of it yet
                self.end()
                raise

    @property
    def running(self) -> bool:
        """Whether it is still at work. It is not reaped: until `end`, its number is nobody else's."""
        if sys.platform == "darwin":  # has no waitid before Python 3.13: there it is reaped at once
            return self._process.poll() is None
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:  # another thread has reaped it
            return False

    def wait(self, patience_s: float | None = None) -> None:
        """Returns when it has ended by itself, or after `patience_s`."""
        began = time.monotonic()
        while self.running and (patience_s is None or time.monotonic() - began < patience_s):
            time.sleep(_POLL_S)

    def interrupt(self) -> None:
        """Asks it to stop, as Ctrl-C does."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGINT)

    def kill(self) -> None:
        """Kills it and its group, without waiting."""
        self._signal(signal.SIGKILL)

    def end(self, *signals: signal.Signals) -> int:
        """Ends it where it still runs, and what it started in any case; returns when it is gone.

        Args:
            signals: ways to ask, tried in turn before it is killed.

        Returns:
            Its exit code, or minus the number of the signal that ended it.

        Raises:
            OSError: the machine is too short of files to look for its session; it is gone itself.
        """
        for sign in signals:
            if self.running:
                self._signal(sign)
                self.wait(_PATIENCE_S[sign])
        with self._ending:
            if self._process.returncode is None:
                self.kill()  # while its number is not free for others
                try:
                    for pid in session_of(self.pid) if self._session else ():
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
                finally:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        self._process.wait(_PATIENCE_S[signal.SIGKILL])
            if self._process.stdin is not None:
                with contextlib.suppress(BrokenPipeError):  # the request never reached it
                    self._process.stdin.close()
        code = self._process.returncode
        return -signal.SIGKILL if code is None else code

    def _signal(self, sign: signal.Signals) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, sign)


def session_of(leader: int) -> list[int]:
    """The living processes of a session: all that its leader started, in whatever process group (Linux)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, _, session = stat.read_text().rpartition(")")[2].split()[:4]
            if int(session) == leader and state != "Z":
                found.append(int(stat.parent.name))
    return found


def asked(parent: int, inherited: int) -> Any:
    """In the child: what it is asked for. From now on it dies with `parent`, the process that started it.

    A crash in native code leaves its Python stack in the log. `inherited` is an open file that it keeps to itself.
    """
    os.set_inheritable(inherited, False)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        os._exit(ORPHANED)
    faulthandler.enable()
    request = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_watch, name="fewview-parent", daemon=True).start()
    return request


def leave(code: int) -> None:
    """In the child, when its answer is given: a library that crashes while it is unloaded cannot take it back."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _watch() -> None:
    """Ends this process when the parent's end of standard input closes; nothing more is ever sent through it."""
    sys.stdin.buffer.read()
    os._exit(ORPHANED)
