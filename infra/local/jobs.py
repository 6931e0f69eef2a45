"""Which process has which call: read from a worker's own log, checked against the owners of its slots."""

from __future__ import annotations

import json

from infra.local import slot_locks
from infra.local.worker import Worker


def process_of(worker: Worker, room: str) -> int | None:
    """The pid of the living job process that has the call in `room`; None if this worker has it not.

    LiveKit's log lines are JSON and carry `pid` and `room`; only a process that owns a slot can be a job of ours, so
    that neither the main process nor a pid given anew to a stranger can be meant.
    """
    owners = set(slot_locks.owners(worker.slot_directory).values())
    for line in reversed(worker.process.log.read_text(errors="replace").splitlines()):
        if room not in line:
            continue
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if record.get("room") == room and record.get("pid") in owners:
            return int(record["pid"])
    return None
