"""Metric files that no scrape ever sees empty.

`prometheus_client` makes a file and gives it its size in two steps. A scrape that reads it in between fails as a whole
(`struct.error`, HTTP 500; seen within 2 000 jobs), and here every job makes a file anew: that of its live gauges.
"""

from __future__ import annotations

from pathlib import Path

from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

# What prometheus_client itself starts with; it keeps the size of a file that has one, and grows it.
INITIAL_BYTES = 1 << 16


class WholeMmapedDict(MmapedDict):
    """An MmapedDict whose file appears with its size."""

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        if not read_mode:
            make_whole(Path(filename))
        super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]


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
        raise OSError(error.errno, f"PROMETHEUS_MULTIPROC_DIR: {error.strerror}", str(path)) from None
    unnamed.rename(path)


def install() -> None:
    """Have prometheus_client's multiprocess values use it."""
    values.MmapedDict = WholeMmapedDict  # type: ignore[attr-defined]  # the one place where it opens a file for writing
