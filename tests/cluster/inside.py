"""The processes of containers, as this machine's /proc shows them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import psutil


def processes_of(containers: Collection[str], named: Collection[str] = ()) -> Iterator[psutil.Process]:
    """Those in a cgroup of one of these containers' ids; of these names alone, where names are given."""
    for process in psutil.process_iter(["name", "create_time"]):
        if named and process.info["name"] not in named:
            continue
        try:
            groups = Path(f"/proc/{process.pid}/cgroup").read_text()
        except OSError:  # it ended meanwhile
            continue
        if any(one in groups for one in containers):
            yield process
