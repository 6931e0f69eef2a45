"""Ends what a dead supervisor left behind. Runs as a process of its own, from the standard library alone.

The supervisor tells it over a pipe which process groups it started (`+<pgid>`) and stopped (`-<pgid>`). The pipe ends
with the supervisor, whatever ended it, SIGKILL included; then every group still on the list is killed and the run's
directory, which holds the generated secrets, is removed. A parent-death signal (PR_SET_PDEATHSIG) would not do: it
reaches only the direct children, not the job processes of a worker, and needs code between fork and exec.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TextIO


class Reaper:
    """The supervisor's end of the pipe."""

    def __init__(self, directory: Path) -> None:
        """Start the reaper; `directory` is removed when this process ends without `close()`."""
        read, write = os.pipe()  # not inherited by the processes of the run: theirs would keep it open
        with os.fdopen(read) as given:
            self._process = subprocess.Popen(
                # -I -S: no site-packages, no environment: up within 20 ms, and nothing there to go wrong.
                [sys.executable, "-I", "-S", __file__, str(directory)],
                stdin=given,
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # a Ctrl-C at the terminal is the supervisor's, not the reaper's
            )
        self._pipe = os.fdopen(write, "w")

    def watch(self, group: int) -> None:
        self._tell(f"+{group}")

    def forget(self, group: int) -> None:
        self._tell(f"-{group}")

    def _tell(self, line: str) -> None:
        # A reaper that somebody killed must not take the supervisor's own cleaning up with it.
        with contextlib.suppress(BrokenPipeError):
            self._pipe.write(line + "\n")
            self._pipe.flush()

    def close(self) -> None:
        """End the reaper; what is still on its list is killed."""
        with contextlib.suppress(BrokenPipeError):
            self._pipe.close()
        self._process.wait()


def follow(lines: TextIO) -> set[int]:
    """Read until the supervisor is gone; return the process groups it had not stopped."""
    groups: set[int] = set()
    for line in lines:
        if not line.endswith("\n"):
            break  # the supervisor died while writing this one
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    return groups


def main() -> None:
    directory = Path(sys.argv[1])
    for group in follow(sys.stdin):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
