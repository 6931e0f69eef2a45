"""A memory cgroup of the test's own, so that the kernel itself kills a process that asks for more than it may have."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.row import NotHere

# Version 1; a machine with version 2 alone has other files, and this was not written for what could not be run.
MEMORY = Path("/sys/fs/cgroup/memory")


@dataclass(frozen=True)
class MemoryCgroup:
    """A directory of the kernel's."""

    path: Path

    def add(self, pid: int) -> None:
        """What the process holds already stays charged to where it came from; what it asks for now counts here."""
        (self.path / "cgroup.procs").write_text(str(pid))

    @property
    def kills(self) -> int:
        """Processes of it that the kernel has killed for memory."""
        lines = (self.path / "memory.oom_control").read_text().splitlines()
        return int(dict(line.split() for line in lines)["oom_kill"])


@contextmanager
def memory_cgroup(limit_bytes: int) -> Iterator[MemoryCgroup]:
    """Removed at the end; its processes must be gone by then.

    Raises:
        NotHere: this machine has no such cgroups, or not for this user.
    """
    if not os.access(MEMORY, os.W_OK) or not (MEMORY / "memory.limit_in_bytes").exists():
        raise NotHere(
            f"needs root, and cgroups of version 1: {MEMORY} is not there or not this user's to write"
        )
    path = MEMORY / f"agent-faults-{secrets.token_hex(4)}"
    path.mkdir()
    try:
        (path / "memory.limit_in_bytes").write_text(str(limit_bytes))
        yield MemoryCgroup(path)
    finally:
        path.rmdir()
