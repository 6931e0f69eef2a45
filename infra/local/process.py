"""One process of the stack: started with a log file, waited for until it is ready, stopped with all its children."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import psutil

from infra.local.errors import StartFailed
from infra.local.eventually import eventually
from infra.local.processes import alive, command_line

STOP_SECONDS = 10.0
# Children that end when their parent does (multiprocessing's fork server) take a moment to notice.
FOLLOW_SECONDS = 3.0
LAST_LINES = 15


class Process:
    """A child process, leader of a process group of its own, its output in `log`."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        environment: Mapping[str, str],
        directory: Path,
    ) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            # A session of its own: Ctrl-C at the terminal reaches the supervisor only, which then stops things in
            # order; and the group holds whatever the process forks, so that it can be ended as one.
            self._popen = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                cwd=directory,
                start_new_session=True,
            )
        self.pid = self._popen.pid
        self.left_behind: list[str] = []
        """Set by `stop()`: what outlived the process, before it was killed."""

    @property
    def alive(self) -> bool:
        """False once it ended. It is not reaped here: its zombie keeps the group's id from being given to others."""
        if self._popen.returncode is not None:
            return False
        if hasattr(os, "waitid"):
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        return self._popen.poll() is None  # macOS before Python 3.13

    @property
    def exit_status(self) -> int | None:
        """Known after `stop()`; negative: the signal that ended it."""
        return self._popen.returncode

    async def ready(self, probe: Callable[[], Awaitable[bool]], *, within: float) -> None:
        """Wait until `probe()` is true.

        Raises:
            StartFailed: the process ended, or was not ready `within` seconds; with its last log lines.
        """

        async def ready_or_dead() -> bool:
            return not self.alive or await probe()

        try:
            await eventually(ready_or_dead, within=within, what=f"{self.name} ready")
        except TimeoutError:
            raise StartFailed(self._explain(f"{self.name} was not ready within {within:g} s")) from None
        if not self.alive:
            self.kill()
            raise StartFailed(self._explain(f"{self.name} ended at its start with status {self.exit_status}"))

    async def finished(self, *, within: float) -> None:
        """Wait for the end of a command that is to end by itself.

        Raises:
            StartFailed: it ended with another status than 0, or not `within` seconds; with its last log lines.
        """
        if not await self.exited(within=within):
            raise StartFailed(self._explain(f"{self.name} did not end within {within:g} s"))
        if status := self.kill():
            raise StartFailed(self._explain(f"{self.name} ended with status {status}"))

    def _explain(self, what: str) -> str:
        return f"{what}; the end of {self.log}:\n{self.last_lines()}"

    def last_lines(self, count: int = LAST_LINES) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-count:]
        return "\n".join(f"  {_readable(line)}" for line in lines) or "  (empty)"

    def terminate(self) -> None:
        """SIGTERM to the process itself, not to its group: a worker's jobs are the worker's to end."""
        if self.alive:
            os.kill(self.pid, signal.SIGTERM)

    async def exited(self, *, within: float) -> bool:
        """Wait for its end; False if it is still there after `within` seconds."""
        try:
            await eventually(lambda: not self.alive, within=within, what=f"{self.name} ended")
        except TimeoutError:
            return False
        return True

    async def stop(self, *, within: float = STOP_SECONDS) -> int:
        """SIGTERM, wait, SIGKILL what is left of its group; return its exit status."""
        self.terminate()
        if await self.exited(within=within):
            with contextlib.suppress(TimeoutError):
                await eventually(
                    lambda: not self._descendants(), within=FOLLOW_SECONDS, what="its children ended"
                )
            self.left_behind = self._descendants()
        return self.kill()

    def _descendants(self) -> list[str]:
        """Living members of its group beside itself, described for people."""
        found = []
        for pid in psutil.pids():
            with contextlib.suppress(ProcessLookupError):
                if pid != self.pid and os.getpgid(pid) == self.pid and alive(pid):
                    found.append(f"{self.name} left pid {pid}: {command_line(pid)[:100]}")
        return found

    def kill(self) -> int:
        """SIGKILL the whole group at once and reap the leader; what had ended before keeps its own status."""
        if self._popen.returncode is None:
            with contextlib.suppress(
                ProcessLookupError, PermissionError
            ):  # macOS: EPERM when only a zombie is left
                os.killpg(self.pid, signal.SIGKILL)
        return self._popen.wait()


def _readable(line: str) -> str:
    """A line of a log; of LiveKit's JSON lines what a person needs: level, message and traceback."""
    try:
        record = json.loads(line)
    except ValueError:
        return line
    if not isinstance(record, dict) or "message" not in record:
        return line
    text = f"{record.get('level', '')} {record['message']}".strip()
    return "\n".join([text, *str(record.get("exc_info") or "").splitlines()]).replace("\n", "\n    ")
