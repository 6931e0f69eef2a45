"""Datastores that misbehave in front of running jobs: down, slow, restarted, refusing, silent, cut, reset."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from statistics import median

import psutil
from livekit import api

from infra.local.eventually import eventually
from infra.local.stack import MONGODB, REDIS
from infra.local.worker import Worker
from tests.faults.bench import START_SECONDS, Job
from tests.faults.datastores_bench import Proxied
from tests.faults.operations import failures, noted, until_one_fails, until_one_succeeds
from tests.faults.proxy import Mode
from tests.faults.row import Row, Seen, Stopwatch
from tests.faults.wrongs import Point

COMPLETED, FAILED = "completed", "failed"
# The lifespan's own limit is 10 s (AGENT_OPEN_TIMEOUT_SECONDS); a job process takes some to start on busy cores.
OPEN_FAILS_SECONDS = 25.0
# PyMongo's monitor looks every 2.5 s while nobody asks, every 0.5 s while somebody waits; redis-py at the next command.
RECOVER_SECONDS = 15.0
# The worker's own MongoDB client is idle: its pool and monitor see a dead server at the next look, up to 2.5 s later.
GAUGES_SECONDS = {MONGODB: 5.0, REDIS: 5.0}
# Either the reply is given up (MongoDB 10 s, Redis 5 s), or no server is found (5 s), or the pool waited for (5 s).
NOTICE_SECONDS = {MONGODB: 16.0, REDIS: 11.0}

# Back to more than the stack needs.
MAXCLIENTS = 1_000


@dataclass(frozen=True)
class On:
    """The servers behind proxies, and one worker that these rows share."""

    at: Proxied
    worker: Worker


Inject = Callable[[On], Awaitable[Seen]]
Do = Callable[[On], Awaitable[None]]


def mode(datastore: str, mode: Mode, *, delay: float = 0.0, after: int = 0) -> Do:
    async def do(on: On) -> None:
        await on.at.proxies[datastore].set(mode, delay=delay, after=after)

    return do


def server_dies_and_starts(datastore: str) -> Do:
    async def do(on: On) -> None:
        await on.at.kill(datastore)
        await on.at.start(datastore)

    return do


async def nothing(_: On) -> None:
    """What was done has ended by itself."""


def configured(option: str, value: str) -> Do:
    """Set an option of the running Valkey, on a connection past the proxy that it has already let in."""

    async def do(on: On) -> None:
        await on.at.operator.config_set(option, value)

    return do


async def usual(on: On) -> None:
    """Valkey as it was started."""
    stack = on.at.bench.stack
    await on.at.operator.config_set("maxclients", str(MAXCLIENTS))
    await on.at.operator.config_set("requirepass", stack.redis.password)


def job_start(datastore: str, spoil: Do, heal: Do, says: str) -> Inject:
    """A call comes while the datastore takes no new connection: it fails, the worker does not; the next one works."""

    async def inject(on: On) -> Seen:
        bench, worker = on.at.bench, on.worker
        await bench.at_rest(worker)
        before, logged = await bench.gauges(worker), worker.process.log.stat().st_size
        main, processes = psutil.Process(worker.process.pid), set[int]()
        await spoil(on)
        try:
            since = Stopwatch()
            await bench.dispatch(worker.name, f"{worker.name}-{datastore}-{time.monotonic_ns()}")

            async def failed() -> bool:
                processes.update(child.pid for child in main.children(recursive=True))
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
        seen = await _ended(on, job)
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
        began, outcomes, at_rest = (
            time.monotonic(),
            (await bench.gauges(on.worker)).outcomes,
            bench.connected(),
        )
        await mode(datastore, Mode.SLOW, delay=seconds)(on)
        try:
            since = Stopwatch()
            room = f"{on.worker.name}-slow-{time.monotonic_ns()}"
            dispatch = await bench.dispatch(on.worker.name, room)
            pid = await _in_the_call(on, room)
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
        seen = await _ended(on, Job(on.worker, room, dispatch, pid, outcomes, at_rest))
        each = median(operation.seconds for operation in operations)
        note = f"an operation took {each:.2f} s (median of {len(operations)}), none failed; peak {peak} connections"
        return Seen(seen.outcome, {**seen.seconds_to, "call open": opened}, note)

    return inject


def in_the_call(datastore: str, fault: Do, heal: Do, *, must_fail: bool = True) -> Inject:
    """The fault comes while a job asks five times a second, and goes once an operation failed of it."""

    async def inject(on: On) -> Seen:
        job = await on.at.call(on.worker)
        try:
            return await watched(on, job)
        except BaseException:
            # The next row finds the worker at rest, whatever became of this one.
            await on.at.bench.livekit.room.delete_room(api.DeleteRoomRequest(room=job.room))
            raise

    async def watched(on: On, job: Job) -> Seen:
        bench = on.at.bench
        seconds: dict[str, float] = {}
        try:
            await _both_answer(on, job.room)
            began, since = time.monotonic(), Stopwatch()
            await fault(on)
            if must_fail:
                within = NOTICE_SECONDS[datastore]
                failed = await until_one_fails(bench.marks, job.room, datastore, since=began, within=within)
                seconds["noticed"] = failed.ended - began
                seconds["that operation took"] = failed.seconds
        finally:
            await heal(on)
        healed = time.monotonic()
        back = await until_one_succeeds(
            bench.marks, job.room, datastore, since=healed, within=RECOVER_SECONDS
        )
        seconds["works again after it is back"] = back.ended - healed
        gauges = await on.at.gauges_true(within=GAUGES_SECONDS[datastore])
        operations = [o for o in noted(bench.marks, job.room, datastore) if o.ended >= began]
        other = REDIS if datastore == MONGODB else MONGODB
        others = [o for o in noted(bench.marks, job.room, other) if o.ended >= began]
        assert not any(o.error for o in others), f"{other}: {failures(others)}"
        assert job.pid in bench.owners(on.worker).values(), "the call did not go on"
        told = (
            f"gauges true {gauges:.1f} s after reconnecting; {failures(operations)} in {since.seconds:.0f} s"
        )
        seen = await _ended(on, job)
        return Seen(seen.outcome, {**seen.seconds_to, **seconds}, f"the call went on; {told}")

    return inject


def hang_up_in_silence(datastore: str) -> Inject:
    """Not a byte comes any more, and the call ends meanwhile: its slot is free without the datastore's help."""

    async def inject(on: On) -> Seen:
        bench = on.at.bench
        job = await on.at.call(on.worker)
        try:
            await _both_answer(on, job.room)
            began = time.monotonic()
            await on.at.proxies[datastore].set(Mode.BLACKHOLE)
            within = NOTICE_SECONDS[datastore]
            failed = await until_one_fails(bench.marks, job.room, datastore, since=began, within=within)
            since = Stopwatch()
            await bench.livekit.room.delete_room(api.DeleteRoomRequest(room=job.room))
            await eventually(
                lambda: job.pid not in bench.owners(on.worker).values(),
                within=20,
                what="the slot free in silence",
            )
            freed = since.seconds
        finally:
            await on.at.healthy()
        truth = await bench.truth(job, since, COMPLETED)
        notice = f"an operation failed after {failed.seconds:.1f} s ({failed.error})"
        return Seen(
            COMPLETED, truth, f"{notice}; slot free {freed:.1f} s after the hang-up, still in silence"
        )

    return inject


async def _in_the_call(on: On, room: str) -> int:
    return await on.at.bench.reached(room, Point.IN_THE_CALL, START_SECONDS)


async def _both_answer(on: On, room: str) -> None:
    for name in (MONGODB, REDIS):
        await until_one_succeeds(on.at.bench.marks, room, name, since=0, within=10)


async def _ended(on: On, job: Job) -> Seen:
    """End the call and see that nothing is left of it."""
    # After an outage the worker's own idle connections may be fewer than before the call.
    without = {
        name: number - on.at.held_by(job.pid, name) for name, number in on.at.bench.connected().items()
    }
    since = Stopwatch()
    await on.at.bench.livekit.room.delete_room(api.DeleteRoomRequest(room=job.room))
    return Seen(COMPLETED, await on.at.bench.truth(replace(job, at_rest=without), since, COMPLETED))


NO_AGENT = "no agent comes"
UNTIL_BACK = "what the agent makes of a failed operation; the call goes on"
NAMED = "job failed; the log names the datastore; worker ready"
ERRORS = "job completed; gauges follow the sockets"


def both(datastore: str) -> list[Row[On]]:
    name = {MONGODB: "MongoDB", REDIS: "Redis"}[datastore]
    passing = mode(datastore, Mode.PASS)
    return [
        Row(
            f"{name} killed (SIGKILL) and started again in mid-call",
            UNTIL_BACK,
            ERRORS,
            in_the_call(datastore, server_dies_and_starts(datastore), nothing, must_fail=False),
        ),
        Row(
            f"{name}: connections reset in mid-call",
            UNTIL_BACK,
            ERRORS,
            in_the_call(datastore, mode(datastore, Mode.RESET), passing),
        ),
        Row(
            f"{name}: replies cut after 8 bytes in mid-call",
            UNTIL_BACK,
            ERRORS,
            in_the_call(datastore, mode(datastore, Mode.CUT, after=8), passing),
        ),
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
            f"{name} slow by 1 s each way", "a late answer", "job completed", slow(datastore, 1.0), soak=True
        ),
        Row(
            f"{name}: no byte comes in mid-call, then it does",
            UNTIL_BACK,
            ERRORS,
            in_the_call(datastore, mode(datastore, Mode.BLACKHOLE), passing),
            soak=True,
        ),
        Row(
            f"{name}: no byte comes, and the call ends",
            "hung up",
            "job completed, its slot free",
            hang_up_in_silence(datastore),
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
