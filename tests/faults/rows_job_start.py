"""A datastore that takes no new connection, or takes its time, when a call comes."""

from __future__ import annotations

import time
from statistics import median

from infra.local.processes import children
from infra.local.stack import MONGODB, REDIS
from tests.faults.bench import Job
from tests.faults.datastore_faults import (
    FAILED,
    TITLES,
    Do,
    Inject,
    On,
    configured,
    ended,
    mode,
    password_back,
    password_changed,
    usual,
)
from tests.faults.operations import failures, noted
from tests.faults.patience import eventually
from tests.faults.proxy import Mode
from tests.faults.row import Row, Seen, Stopwatch
from tests.faults.rows_jobs import NO_AGENT
from tests.faults.wrongs import Point

# The lifespan's own limit is 10 s (AGENT_OPEN_TIMEOUT_SECONDS); a job process takes some to start on busy cores.
OPEN_FAILS_SECONDS = 40.0


def job_start(datastore: str, spoil: Do, heal: Do, says: str) -> Inject:
    """A call comes while the datastore takes no new connection: it fails, the worker does not; the next one works."""

    async def inject(on: On) -> Seen:
        bench, worker = on.at.bench, on.worker
        await bench.at_rest(worker)
        before, logged = await bench.gauges(worker), worker.process.log.stat().st_size
        processes = set[int]()
        await spoil(on)
        try:
            since = Stopwatch()
            await bench.dispatch(worker.name, f"{worker.name}-{datastore}-{time.monotonic_ns()}")

            async def failed() -> bool:
                processes.update(child.pid for child in children(worker.process.pid))
                outcomes = (await bench.gauges(worker)).outcomes
                return outcomes.get(FAILED, 0) == before.outcomes.get(FAILED, 0) + 1

            await eventually(failed, within=OPEN_FAILS_SECONDS, what="the job counted as failed")
            counted = since.seconds
            await eventually(lambda: not bench.owners(worker), within=5, what="its slot free")
            freed = since.seconds
            said = worker.process.log.read_bytes()[logged:].decode(errors="replace")
            assert datastore in said, f"the log names no {datastore}"
            assert says in said, f"the log does not say {says!r}"
            assert await bench.ready(worker) == 200
            # Fork server, resource tracker, the idle process, the job and the process that replaced it.
            assert len(processes) <= 6, f"{len(processes)} processes for one job"
        finally:
            await heal(on)
        again = Stopwatch()
        job = await on.at.call(worker)
        recovered = again.seconds
        seen = await ended(on, job)
        return Seen(
            FAILED,
            {"counted as failed": counted, "slot free": freed, "next call open": recovered},
            f"{len(processes)} processes seen under the worker, ready throughout; next call {seen.outcome}",
        )

    return inject


def slow(datastore: str, seconds: float) -> Inject:
    """Every packet of the call, from its opening on, is late by `seconds` in each direction."""

    async def inject(on: On) -> Seen:
        bench = on.at.bench
        await bench.at_rest(on.worker)
        began, outcomes, others = (
            time.monotonic(),
            (await bench.gauges(on.worker)).outcomes,
            bench.of_jobs(),
        )
        await mode(datastore, Mode.SLOW, delay=seconds)(on)
        try:
            since = Stopwatch()
            room = f"{on.worker.name}-slow-{time.monotonic_ns()}"
            dispatch = await bench.dispatch(on.worker.name, room)
            pid = await bench.reached(room, Point.IN_THE_CALL)
            opened = since.seconds
            await eventually(
                lambda: len(noted(bench.marks, room, datastore)) >= 5, within=30, what="5 operations"
            )
        finally:
            await on.at.healthy()
        operations = noted(bench.marks, room, datastore)
        assert not any(operation.error for operation in operations), failures(operations)
        granted = (await bench.gauges(on.worker)).budget[datastore]
        peak = max(s.connections[datastore] for s in bench.stack.kernel.samples.copy() if s.at >= began)
        assert peak <= granted, f"{peak} connections of {granted}"
        seen = await ended(on, Job(on.worker, room, dispatch, pid, outcomes, others))
        each = median(operation.seconds for operation in operations)
        note = f"an operation took {each:.2f} s (median of {len(operations)}), none failed; peak {peak} connections"
        return Seen(seen.outcome, {**seen.seconds_to, "call open": opened}, note)

    return inject


NAMED = "job failed; the log names the datastore; worker ready"


def both(datastore: str) -> list[Row[On]]:
    name, passing = TITLES[datastore], mode(datastore, Mode.PASS)
    return [
        Row(
            f"{name} down at job start",
            NO_AGENT,
            NAMED,
            job_start(datastore, mode(datastore, Mode.REFUSE), passing, "Connect call failed"),
            soak=True,
        ),
        Row(
            f"{name} slow by 50 ms each way",
            "a slower answer",
            "job completed",
            slow(datastore, 0.05),
            soak=True,
        ),
        Row(
            f"{name} slow by 0.5 s each way",
            "a late answer",
            "job completed",
            slow(datastore, 0.5),
            soak=True,
        ),
    ]


ROWS: list[Row[On]] = [
    *both(MONGODB),
    *both(REDIS),
    Row(
        "MongoDB at its connection limit (stand-in: the proxy accepts and closes, as mongod does)",
        NO_AGENT,
        NAMED,
        job_start(MONGODB, mode(MONGODB, Mode.CLOSE), mode(MONGODB, Mode.PASS), "closed"),
        soak=True,
    ),
    Row(
        "MongoDB's password was changed",
        NO_AGENT,
        NAMED,
        job_start(MONGODB, password_changed, password_back, "AuthenticationFailed"),
    ),
    Row(
        "Valkey at maxclients",
        NO_AGENT,
        NAMED,
        job_start(REDIS, configured("maxclients", "1"), usual, "max number of clients reached"),
    ),
    Row(
        "Valkey's password was changed",
        NO_AGENT,
        NAMED,
        job_start(REDIS, configured("requirepass", "another"), usual, "invalid username-password pair"),
    ),
]
