"""An outage seen by a fleet: at hang-up, at a worker's start, and under many running jobs that all reconnect."""

from __future__ import annotations

import re
import secrets
import time
from bisect import bisect_left, bisect_right
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

from pymongo import AsyncMongoClient

from infra.local.conversation import Conversation
from infra.local.errors import StartFailed
from infra.local.eventually import together
from infra.local.servers.mongodb import DATABASE
from infra.local.stack import MONGODB, REDIS
from infra.local.worker import AGENT, Worker
from tests.faults.bench import SLOTS, Bench
from tests.faults.datastores_bench import Proxied
from tests.faults.operations import until_one_fails, until_one_succeeds
from tests.faults.patience import eventually
from tests.faults.proxy import Mode
from tests.faults.row import PROCESS, Row, Seen, Stopwatch
from tests.faults.wrongs import NO_JITTER, Point

WORKERS = 3
EXIT_LIFESPAN_FAILED = 3
# Attempts to connect per second of one client whose agent asks again 0.2 s after a failure. PyMongo: a monitor looks
# at most every 0.5 s, and the pool may dial beside it. redis-py: a command dials 4 times within 0.7 to 1.4 s.
ATTEMPTS = {MONGODB: 4.0, REDIS: 6.0}
# The job gives MongoDB up after at most 12 s (STORE_SECONDS); the worker looks every 7.5 to 15 s (RESTORE_SECONDS).
SPOOLED_SECONDS, RESTORED_SECONDS = 25.0, 40.0

OUTAGE_SECONDS = 8.0

Inject = Callable[[Proxied], Awaitable[Seen]]
Do = Callable[[Proxied], Awaitable[None]]


async def hang_up_without_mongodb(at: Proxied) -> Seen:
    """The user's own agent; MongoDB goes after the greeting and is back only when the job has ended."""
    async with at.worker(entrypoint=AGENT) as worker:
        bench, room = at.bench, f"{worker.name}-spooled"
        spool = worker.slot_directory / "spool"
        await bench.dispatch(worker.name, room)
        try:
            line = replace(bench.stack.line, agent_name=worker.name)
            async with Conversation(line, room, "caller") as conversation:
                await conversation.hear()
                await at.proxies[MONGODB].set(Mode.REFUSE)
            since = Stopwatch()
            await eventually(
                lambda: bool(list(spool.rglob("*.json"))),
                within=SPOOLED_SECONDS,
                what="the transcript in a file",
            )
            kept = since.seconds
            await eventually(lambda: not bench.owners(worker), within=10, what="the slot free")
            freed = since.seconds
            assert (await bench.gauges(worker)).outcomes.get("completed", 0) == 1
            assert await bench.ready(worker) == 200
        finally:
            await at.healthy()
        back = Stopwatch()
        await eventually(
            lambda: not list(spool.rglob("*.json")),
            within=RESTORED_SECONDS,
            what="the transcript to be stored",
        )
        restored = back.seconds
        async with AsyncMongoClient[dict[str, object]](bench.stack.mongodb.url) as client:
            found = await client[DATABASE]["transcripts"].count_documents({"room": room})
        assert found == 1, f"{found} transcripts stored"
    seconds = {"in a file": kept, "slot free": freed, "stored after MongoDB is back": restored}
    return Seen("completed", seconds, "1 transcript stored, the file gone")


def worker_start(datastore: str, spoil: Do, says: str) -> Inject:
    async def inject(at: Proxied) -> Seen:
        await spoil(at)
        since = Stopwatch()
        try:
            async with at.worker():
                raise AssertionError("the worker started")
        except StartFailed as failed:
            ended, said = since.seconds, str(failed)
        finally:
            await at.healthy()
            await at.mongodb_password(at.bench.stack.mongodb.password)
        status = re.search(r"status (-?\d+)", said)
        assert status, said
        assert int(status[1]) == EXIT_LIFESPAN_FAILED, said
        assert datastore in said, said
        assert says in said, said
        assert at.bench.stack.mongodb.password not in said
        return Seen(
            f"exit status {status[1]}", {PROCESS: ended}, "the kubelet's CrashLoopBackOff spaces the restarts"
        )

    return inject


def down(datastore: str) -> Do:
    async def do(at: Proxied) -> None:
        await at.proxies[datastore].set(Mode.REFUSE)

    return do


async def another_password(at: Proxied) -> None:
    await at.mongodb_password(secrets.token_hex(16))


def many_reconnect(datastore: str, *, jitter: bool = True) -> Inject:
    """Three workers, every slot taken; the server is killed, and started again once every job has seen it."""

    async def inject(at: Proxied) -> Seen:
        bench, proxy = at.bench, at.proxies[datastore]
        async with AsyncExitStack() as stack:
            environment = {} if jitter else {NO_JITTER: "1"}
            workers = [
                await stack.enter_async_context(at.worker(environment=environment)) for _ in range(WORKERS)
            ]
            rooms = [f"{worker.name}-storm-{n}" for worker in workers for n in range(SLOTS)]
            # One a worker at a time: two cores do not start twelve processes before LiveKit loses patience.
            for n in range(SLOTS):
                await together(_placed(bench, worker, f"{worker.name}-storm-{n}") for worker in workers)
            held = bench.connected()[datastore]
            killed = time.monotonic()
            await at.kill(datastore)
            await together(
                until_one_fails(bench.marks, room, datastore, since=killed, within=30) for room in rooms
            )
            # Long enough for what backs off to have done so.
            await eventually(lambda: time.monotonic() - killed > OUTAGE_SECONDS, within=60, what="the outage")
            await at.start(datastore)
            back = time.monotonic()
            works = await together(
                until_one_succeeds(bench.marks, room, datastore, since=back, within=30) for room in rooms
            )
            gauges = await at.gauges_true(within=5)
            ended = time.monotonic()
        during = [moment for moment in proxy.accepted if killed <= moment < back]
        after = [moment for moment in proxy.accepted if back <= moment <= ended]
        clients = len(rooms) + WORKERS
        peak = _peak(during, 1.0)
        bound = ATTEMPTS[datastore] * clients
        assert peak <= bound, (
            f"{peak} attempts in one second by {clients} clients, at most {bound:g} expected"
        )
        # Each connection that was there before is made once more, and an attempt under way may have failed.
        assert len(after) <= 2 * held + clients, f"{len(after)} attempts for {held} connections"
        recovered = sorted(operation.ended - back for operation in works)
        return Seen(
            f"{len(rooms)} of {len(rooms)} calls went on",
            {"first job works again": recovered[0], "last": recovered[-1], "gauges true": gauges},
            f"{clients} clients held {held} connections; while down {len(during) / (back - killed):.0f} attempts "
            f"a second (bound {bound:g}), at most {_peak(during, 0.1)} in 100 ms; once it was back {len(after)} "
            f"connections, at most {_peak(after, 0.1)} in 100 ms and {_peak(after, 1.0)} in 1 s",
        )

    return inject


async def _placed(bench: Bench, worker: Worker, room: str) -> None:
    await bench.dispatch(worker.name, room)
    await bench.reached(room, Point.IN_THE_CALL)


def _peak(moments: Sequence[float], seconds: float) -> int:
    """The most in any `seconds`; `moments` in order."""
    return max(
        (bisect_right(moments, m) - bisect_left(moments, m - seconds) for m in moments),
        default=0,
    )


ROWS: list[Row[Proxied]] = [
    Row(
        "MongoDB down at hang-up",
        "hung up",
        "job completed; error names the file; stored later, once",
        hang_up_without_mongodb,
    ),
    Row(
        "MongoDB down at a worker's start",
        "other workers answer",
        "exit status 3, the log names it",
        worker_start(MONGODB, down(MONGODB), "Connect call failed"),
        soak=True,
    ),
    Row(
        "Redis down at a worker's start",
        "other workers answer",
        "exit status 3, the log names it",
        worker_start(REDIS, down(REDIS), "Connect call failed"),
        soak=True,
    ),
    Row(
        "MongoDB's password is wrong at a worker's start",
        "other workers answer",
        "exit status 3, the log names MongoDB and no password",
        worker_start(MONGODB, another_password, "AuthenticationFailed"),
        soak=True,
    ),
    Row(
        "MongoDB restarts under 12 jobs of 3 workers",
        "calls go on",
        "attempts bounded",
        many_reconnect(MONGODB),
        soak=True,
    ),
    Row(
        "Redis restarts under 12 jobs of 3 workers",
        "calls go on",
        "attempts bounded",
        many_reconnect(REDIS),
        soak=True,
    ),
    Row(
        "the same with redis-py's back-off without jitter, for comparison",
        "calls go on",
        "not how the runtime is",
        many_reconnect(REDIS, jitter=False),
        soak=True,
    ),
]
