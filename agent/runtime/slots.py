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
import struct
import sys
from pathlib import Path

from agent.runtime.errors import SlotUnavailable

# The sweeper holds the lock of a dead slot for the instant in which it removes the dead job's gauges, and a job may
# ask in that instant. Longer than that, all slots are really owned.
ACQUIRE_SECONDS = 2.0
RETRY_SECONDS = 0.02


# struct flock: type, whence, start, length, pid. Linux, 64 bit; macOS puts the type and the pid last.
_FLOCK = "qqihh" if sys.platform == "darwin" else "hhqqi4x"
_KIND = 3 if sys.platform == "darwin" else 0

# Files of the slots that jobs of this process own. A lock is the process's: whoever asks in it gets the lock once more.
_owned_here: set[Path] = set()


class SlotFile:
    """One slot's lock file, opened once in this process."""

    def __init__(self, directory: Path, name: str) -> None:
        self.name = name
        """Identity of the owner in metrics: bounded by the number of slots, unlike process ids."""
        self._path = directory / f"{self.name}.lock"
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def try_lock(self) -> bool:
        """Take the lock if no living process owns it. Never waits."""
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return False
            raise
        return True

    @property
    def owned_here(self) -> bool:
        """Whether a job of this very process owns it: in LiveKit's `console`, where jobs are threads."""
        return self._path in _owned_here

    def own(self) -> bool:
        """Take it for a job of this process, until `close()` or the process's end. Never waits."""
        if self.owned_here or not self.try_lock():
            return False
        _owned_here.add(self._path)
        return True

    @property
    def taken(self) -> bool:
        """Whether a living process owns it, asked of the kernel without taking it."""
        if self.owned_here:
            return True
        fields: list[int] = [0, 0, 0, 0, 0]
        fields[_KIND] = fcntl.F_WRLCK
        asked = struct.unpack(_FLOCK, fcntl.fcntl(self._fd, fcntl.F_GETLK, struct.pack(_FLOCK, *fields)))
        return int(asked[_KIND]) != fcntl.F_UNLCK

    def unlock(self) -> None:
        fcntl.lockf(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file, which frees the lock if this process owned it."""
        os.close(self._fd)
        _owned_here.discard(self._path)


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
                if slot.own():
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
