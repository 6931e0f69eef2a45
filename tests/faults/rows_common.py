"""What rows about workers share: filled, refused, ended, and the last words of a worker that does not start."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from infra.local.errors import StartFailed
from infra.local.process import Process
from infra.local.worker import Worker
from tests.faults.bench import SLOTS, START_SECONDS, WORKER_FAULTY, Bench
from tests.faults.patience import eventually
from tests.faults.row import Stopwatch
from tests.faults.wrongs import Point

EXIT_LIFESPAN_FAILED = 3


async def filled(bench: Bench, fleet: Sequence[Worker]) -> None:
    await eventually(
        lambda: all(len(bench.owners(worker)) == SLOTS for worker in fleet),
        within=START_SECONDS,
        what="every slot taken",
    )


async def all_talking(bench: Bench, fleet: Sequence[Worker]) -> None:
    """Wait until every owner of a slot is in its call: whose room goes while it connects tries on for 45 s."""

    def talking() -> bool:
        pids = {int(path.read_text()) for path in bench.marks.glob(f"*.{Point.IN_THE_CALL}")}
        return all(set(bench.owners(worker).values()) <= pids for worker in fleet)

    await eventually(talking, within=START_SECONDS, what="every job in its call", every=0.2)


async def refused(bench: Bench, fleet: Sequence[Worker], least: int) -> None:
    """Wait until so many requests were turned down, all workers together."""
    seen = 0

    async def enough() -> bool:
        nonlocal seen
        seen = sum([(await bench.gauges(worker)).requests.get("rejected", 0) for worker in fleet])
        return seen >= least

    try:
        await eventually(enough, within=START_SECONDS, what="every refusal", every=0.2)
    except TimeoutError as error:
        raise TimeoutError(f"{error}: {seen} of {least}") from None


async def end(bench: Bench, rooms: Sequence[str]) -> None:
    for room in rooms:
        await bench.hang_up(room)


async def ends_at_start(bench: Bench, name: str, environment: Mapping[str, str]) -> tuple[int, str, float]:
    """Start a worker that is to end by itself: its status, its last words, and the seconds it took."""
    since = Stopwatch()
    message = ""
    try:
        async with bench.worker(name, environment, entrypoint=WORKER_FAULTY):
            pass
    except StartFailed as failed:
        message = str(failed)
    found = re.search(r"status (-?\d+)", message)
    assert found, f"{name} started, or did not end: {message}"
    return int(found[1]), message, since.seconds


def log(worker: Worker) -> str:
    return log_of(worker.process)


def log_of(process: Process) -> str:
    return process.log.read_text(errors="replace")
