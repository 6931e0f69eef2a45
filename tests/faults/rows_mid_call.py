"""A datastore that goes away under a running call: restarted, silent, cut, reset."""

from __future__ import annotations

import time
from contextlib import suppress

from livekit import api

from infra.local.stack import MONGODB, REDIS
from tests.faults.bench import Job
from tests.faults.datastore_faults import (
    COMPLETED,
    TITLES,
    Do,
    Inject,
    On,
    both_answer,
    ended,
    mode,
    nothing,
    server_dies_and_starts,
)
from tests.faults.operations import failures, noted, until_one_fails, until_one_succeeds
from tests.faults.patience import eventually
from tests.faults.proxy import Mode
from tests.faults.row import Row, Seen, Stopwatch

# PyMongo's monitor looks every 2.5 s while nobody asks, every 0.5 s while somebody waits; redis-py at the next command.
RECOVER_SECONDS = 15.0
# The worker's own MongoDB client is idle: its pool and monitor see a dead server at the next look, up to 2.5 s later.
GAUGES_SECONDS = {MONGODB: 5.0, REDIS: 5.0}
# Either the reply is given up (MongoDB 10 s, Redis 5 s), or no server is found (5 s), or the pool waited for (5 s).
NOTICE_SECONDS = {MONGODB: 16.0, REDIS: 11.0}


def in_the_call(datastore: str, fault: Do, heal: Do, *, must_fail: bool = True) -> Inject:
    """The fault comes while a job asks five times a second, and goes once an operation failed of it."""

    async def inject(on: On) -> Seen:
        job = await on.at.call(on.worker)
        try:
            return await watched(on, job)
        except BaseException:
            # The next row finds the worker at rest, whatever became of this one; its room may have gone already.
            with suppress(api.TwirpError):
                await on.at.bench.hang_up(job.room)
            raise

    async def watched(on: On, job: Job) -> Seen:
        bench = on.at.bench
        seconds: dict[str, float] = {}
        try:
            await both_answer(on, job.room)
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
        seen = await ended(on, job)
        return Seen(seen.outcome, {**seen.seconds_to, **seconds}, f"the call went on; {told}")

    return inject


def hang_up_in_silence(datastore: str) -> Inject:
    """Not a byte comes any more, and the call ends meanwhile: its slot is free without the datastore's help."""

    async def inject(on: On) -> Seen:
        bench = on.at.bench
        job = await on.at.call(on.worker)
        try:
            await both_answer(on, job.room)
            began = time.monotonic()
            await on.at.proxies[datastore].set(Mode.BLACKHOLE)
            within = NOTICE_SECONDS[datastore]
            failed = await until_one_fails(bench.marks, job.room, datastore, since=began, within=within)
            since = Stopwatch()
            await bench.hang_up(job.room)
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


UNTIL_BACK = "what the agent makes of a failed operation; the call goes on"
ERRORS = "job completed; gauges follow the sockets"


def both(datastore: str) -> list[Row[On]]:
    name, passing = TITLES[datastore], mode(datastore, Mode.PASS)
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


ROWS: list[Row[On]] = [*both(MONGODB), *both(REDIS)]
