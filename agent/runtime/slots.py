"""A slot is the right to run one job and to hold its connections: one locked file a slot.

The lock is a POSIX record lock (`fcntl.lockf`), because the kernel frees it with the process, whatever kills it, and
because a helper that the job forked does not inherit it (`flock` would survive in the helper; measured, FACTS.md).
A process that closes *any* descriptor of the file loses the lock, so each process keeps one descriptor a slot.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
from pathlib import Path

from agent.runtime.errors import SlotUnavailable

# The sweeper holds the lock of a dead slot for the instant in which it removes the dead job's gauges, and a job may
# ask in that instant. Longer than that, all slots are really owned.
ACQUIRE_SECONDS = 2.0
RETRY_SECONDS = 0.02


class SlotFile:
    """One slot's lock file, opened once in this process."""

    def __init__(self, directory: Path, name: str) -> None:
        self.name = name
        """Identity of the owner in metrics: bounded by the number of slots, unlike process ids."""
        self._fd = os.open(directory / f"{self.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def try_lock(self) -> bool:
        """Take the lock if no living process owns it. Never waits."""
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return False
            raise
        return True

    def unlock(self) -> None:
        fcntl.lockf(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file, which frees the lock if this process owned it."""
        os.close(self._fd)


class SlotDirectory:
    """All slots of one worker, as files in a directory that lives as long as the worker (memory emptyDir)."""

    def __init__(self, directory: Path, slots: int) -> None:
        self.path = directory
        self.files = [SlotFile(directory, f"slot{index}") for index in range(slots)]

    async def acquire(self) -> SlotFile:
        """Own a free slot until this process ends.

        Raises:
            SlotUnavailable: every slot was owned for `ACQUIRE_SECONDS`. Admission normally prevents this; it means
                that a job came past admission, or that two workers share one directory.
        """
        deadline = asyncio.get_running_loop().time() + ACQUIRE_SECONDS
        while True:
            for slot in self.files:
                if slot.try_lock():
                    return slot
            if asyncio.get_running_loop().time() > deadline:
                raise SlotUnavailable(
                    f"all {len(self.files)} slots in {self.path} are owned by living jobs, so this job ends before "
                    "it opens a connection. A job came past admission (a simulated job?), or two workers share "
                    "AGENT_SLOT_DIRECTORY: give each worker a directory of its own."
                )
            await asyncio.sleep(RETRY_SECONDS)

    def close(self) -> None:
        for slot in self.files:
            slot.close()
