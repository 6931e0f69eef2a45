"""One run of the local target: its two directories, the processes it started, and their end.

`.local/<run>/` holds data, sockets and generated secrets and goes with the run; `build/<run>/` holds logs and reports
and stays. Both ignore themselves for git. Leaving the `async with` stops everything, last started first stopped.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from infra.local.process import Process
from infra.local.reaper import Reaper

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / ".local"
OUTPUT = ROOT / "build"
KEPT = 10


class Run:
    """Owner of everything that one `make up` or `make demo` starts."""

    def __init__(self, kind: str, output: Path | None = None) -> None:
        """Name it `<kind>-<time>-<random>`; logs and reports go to `output` or to `build/<name>`."""
        self.name = f"{kind}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
        self.state = STATE / self.name
        self.output = output or OUTPUT / self.name
        self.processes: list[Process] = []

    async def __aenter__(self) -> Self:
        for parent in (STATE, OUTPUT):
            parent.mkdir(exist_ok=True)
            (parent / ".gitignore").write_text("*\n")
        self.state.mkdir(mode=0o700)  # first: without it, another run that tidies up takes this one for ended
        (self.output / "logs").mkdir(parents=True)
        _forget_oldest(self.name.partition("-")[0])
        self._reaper = Reaper(self.state)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for process in reversed(self.processes.copy()):
                await self.stop(process)
        finally:
            # Also when a second signal cut the waiting short: no process survives the run.
            for process in reversed(self.processes.copy()):
                process.kill()
                self._forget(process)
            shutil.rmtree(self.state, ignore_errors=True)
            self._reaper.close()

    def start(
        self, name: str, command: Sequence[str | Path], *, environment: Mapping[str, str] | None = None
    ) -> Process:
        """Start a process with `environment` added to a bare one; its log is `build/<run>/logs/<name>.log`."""
        process = Process(
            name,
            command,
            log=self.output / "logs" / f"{name}.log",
            environment=bare_environment() | dict(environment or {}),
            directory=ROOT,
        )
        self.processes.append(process)
        self._reaper.watch(process.pid)
        return process

    async def stop(self, process: Process, *, within: float | None = None) -> int:
        """Stop one process before the run's end; see `Process.stop`."""
        status = await (process.stop() if within is None else process.stop(within=within))
        self._forget(process)
        return status

    def _forget(self, process: Process) -> None:
        self._reaper.forget(process.pid)
        with contextlib.suppress(ValueError):
            self.processes.remove(process)

    def private_file(self, name: str, content: str) -> Path:
        """Write a file that only this user can read, from its first byte on."""
        path = self.state / name
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
        return path

    def directory(self, name: str) -> Path:
        path = self.state / name
        path.mkdir(parents=True, exist_ok=True)
        return path


def _forget_oldest(kind: str) -> None:
    """Keep the logs and reports of the newest runs of a kind; the names sort by time."""
    ended = [path for path in sorted(OUTPUT.glob(f"{kind}-*")) if not (STATE / path.name).exists()]
    for path in ended[:-KEPT]:
        shutil.rmtree(path, ignore_errors=True)


# What a process needs of the caller's environment, and no more: a LIVEKIT_URL or MONGODB_URL that a developer has
# set for something else must not leak into this stack.
PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "TZ",
    "SSL_CERT_FILE",
    "XDG_CACHE_HOME",
    "VIRTUAL_ENV",
)


def bare_environment() -> dict[str, str]:
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ}
