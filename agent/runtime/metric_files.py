"""Metric files that no scrape ever sees empty.

`prometheus_client` makes a file and gives it its size in two steps. A scrape that reads it in between fails as a whole
(`struct.error`, HTTP 500; seen within 2 000 jobs), and here every job makes a file anew: that of its live gauges.
"""

from __future__ import annotations

import os
from pathlib import Path

from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

# What prometheus_client itself starts with; it keeps the size of a file that has one, and grows it.
INITIAL_BYTES = 1 << 16
# What an entry takes beside its key, padding included.
ENTRY_BYTES = 32


class WholeMmapedDict(MmapedDict):
    """An MmapedDict whose file appears with its size."""

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        if not read_mode:
            make_whole(Path(filename))
        super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]

    def _init_value(self, key: str) -> None:
        """As prometheus_client; where the file has to grow for it, with room on the disk first.

        Raises:
            OSError: the disk is full. Growing by a hole, as prometheus_client does, would take the process's life.
        """
        if self._used + len(key.encode()) + ENTRY_BYTES > self._capacity and hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(self._f.fileno(), 0, 2 * self._capacity)
            except OSError as error:
                raise _no_room(error, self._fname) from None
        super()._init_value(key)  # type: ignore[no-untyped-call]


def make_whole(path: Path, *, anew: bool = False) -> None:
    """Make the file if it is not there, or replace it in one step by an empty one.

    Its owner alone may call this: one process owns an identity at a time.

    Raises:
        OSError: the disk is full. Zeros are written for that: a file with holes would take the process's life instead
            (SIGBUS), at the first value that finds no room.
    """
    if path.exists() and not anew:
        return
    # Not *.db: no scrape reads it. One name an identity: what a job left that died here is replaced by its slot's next.
    unnamed = path.with_name(f"{path.name}.new")
    try:
        with unnamed.open("wb") as file:
            file.write(bytes(INITIAL_BYTES))
    except OSError as error:
        raise _no_room(error, str(path)) from None
    unnamed.rename(path)


def _no_room(error: OSError, path: str) -> OSError:
    return OSError(error.errno, f"PROMETHEUS_MULTIPROC_DIR: {error.strerror}", path)


def install() -> None:
    """Have prometheus_client's multiprocess values use it."""
    values.MmapedDict = WholeMmapedDict  # type: ignore[attr-defined]  # the one place where it opens a file for writing
