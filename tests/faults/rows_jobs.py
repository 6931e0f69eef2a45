"""How a job can end: every way out of a call, and everything the agent's own code can do wrong on it."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from infra.local.conversation import Conversation
from infra.local.processes import alive
from infra.local.worker import Worker
from tests.faults.bench import Bench, Job
from tests.faults.patience import eventually
from tests.faults.row import CONNECTIONS, Row, Seen, Stopwatch
from tests.faults.wrongs import Point, Wrong, marked

COMPLETED, FAILED, KILLED = "completed", "failed", "killed"


@dataclass(frozen=True)
class On:
    """The bench, and one worker that all these rows share."""

    bench: Bench
    worker: Worker


End = Callable[[Bench, Job], Awaitable[object]]
Inject = Callable[[On], Awaitable[Seen]]


async def room_deletion(bench: Bench, job: Job) -> None:
    await bench.hang_up(job.room)


async def terminate_job(bench: Bench, job: Job) -> None:
    """Deleting a dispatch makes livekit-server send TerminateJob to the worker that has its job."""
    await bench.livekit.agent_dispatch.delete_dispatch(job.dispatch, job.room)


async def by_itself(_: Bench, __: Job) -> None:
    """The fault needs no help."""


async def kill(_: Bench, job: Job) -> None:
    os.kill(job.pid, signal.SIGKILL)


def ended(
    outcome: str,
    *,
    wrong: Wrong = Wrong.NOTHING,
    by: End = room_deletion,
    until: Point = Point.IN_THE_CALL,
    within: float,
) -> Inject:
    """Place a call that goes wrong in this way, end it, and see that `within` seconds nothing is left of it."""

    async def inject(on: On) -> Seen:
        job = await on.bench.call(on.worker, wrong, until)
        since = Stopwatch()
        await by(on.bench, job)
        return Seen(outcome, await on.bench.truth(job, since, outcome, within=within))

    return inject


async def hang_up(on: On) -> Seen:
    job = await on.bench.call(on.worker, Wrong.NOTHING)
    async with Conversation(on.bench.stack.line, job.room, "caller"):
        # Who leaves before the agent saw him raises no event there: that job waits for LiveKit's departure_timeout.
        await on.bench.reached(job.room, Point.CALLER, within=10)
        since = Stopwatch()
    return Seen(COMPLETED, await on.bench.truth(job, since, COMPLETED, within=5))


async def loses_its_cancel(on: On) -> Seen:
    """A worker of its own, whose jobs may take longer to end than LiveKit's patience and ours."""
    async with on.bench.worker(environment={"AGENT_JOB_END_SECONDS": "60"}) as worker:
        job = await on.bench.call(worker, Wrong.LOSES_CANCEL)
        since = Stopwatch()
        await on.bench.hang_up(job.room)
        return Seen(COMPLETED, await on.bench.truth(job, since, COMPLETED, within=16))


def killed_with_a_helper(wrong: Wrong, *, keeps_connections: bool) -> Inject:
    """SIGKILL a job that had started another process; then end that one, too."""

    async def inject(on: On) -> Seen:
        job = await on.bench.call(on.worker, wrong)
        helper = await on.bench.reached(job.room, Point.HELPER)
        since = Stopwatch()
        try:
            os.kill(job.pid, signal.SIGKILL)
            await eventually(lambda: not alive(job.pid), within=5, what="the job gone")
            await eventually(
                lambda: job.pid not in on.bench.owners(on.worker).values(), within=1, what="its slot free"
            )
            freed = since.seconds
            if not keeps_connections:
                return Seen(KILLED, await on.bench.truth(job, since, KILLED, within=5), "the helper lives on")
            # The sweeper has counted the death by now; what the helper inherited is still there.
            await eventually(lambda: _counted(on.bench, job), within=5, what="counted as killed")
            kept = {n: c - job.others[n] for n, c in on.bench.of_jobs().items()}
            assert any(kept.values()), "a forked helper keeps what it inherited"
        finally:
            os.kill(helper, signal.SIGKILL)
        seconds = await on.bench.truth(job, Stopwatch(), KILLED, within=5)
        del seconds[CONNECTIONS]
        note = f"the fork kept {kept}, which no gauge shows, until it ended; slot free after {freed:.1f} s"
        return Seen(KILLED, seconds, note)

    return inject


async def keeps_a_thread(on: On) -> Seen:
    """The job has closed, its process waits for a thread: the slot is taken, and the gauge says so."""
    bench = on.bench
    job = await bench.call(on.worker, Wrong.KEEPS_A_THREAD)
    await bench.hang_up(job.room)

    async def closed() -> bool:
        gauges = await bench.gauges(on.worker)
        return gauges.outcomes.get(COMPLETED, 0) == job.outcomes.get(COMPLETED, 0) + 1

    await eventually(closed, within=10, what="the job closed")

    async def running() -> int:
        return (await bench.gauges(on.worker)).running

    async def shown() -> bool:
        return await running() == 1

    await eventually(shown, within=3, what="its slot shown as taken")
    assert job.pid in bench.owners(on.worker).values()
    marked(bench.marks, job.room, Point.GO).touch()
    since = Stopwatch()
    return Seen(
        COMPLETED,
        await bench.truth(job, since, COMPLETED, within=6),
        "counted from the thread's end; running until then",
    )


async def _counted(bench: Bench, job: Job) -> bool:
    return (await bench.gauges(job.worker)).outcomes.get(KILLED, 0) == job.outcomes.get(KILLED, 0) + 1


STAYS = "the agent leaves; the call is over"
SILENCE = "silence, until LiveKit misses the agent (about 20 s)"
NO_AGENT = "no agent comes"

ROWS: list[Row[On]] = [
    Row("hang-up", "hung up", "job completed", hang_up),
    Row("room deleted", STAYS, "job completed; LiveKit sends TerminateJob", ended(COMPLETED, within=6)),
    Row(
        "TerminateJob (dispatch deleted)",
        STAYS,
        "job completed",
        ended(COMPLETED, by=terminate_job, within=6),
    ),
    Row(
        "entrypoint raises before it connects",
        NO_AGENT,
        "job failed, traceback in the log",
        ended(FAILED, wrong=Wrong.FAILS_BEFORE_CONNECT, by=by_itself, until=Point.OPENED, within=6),
    ),
    Row(
        "entrypoint raises in the call",
        STAYS,
        "job failed, traceback in the log",
        ended(FAILED, wrong=Wrong.FAILS_AFTER_CONNECT, by=by_itself, within=6),
    ),
    Row(
        "entrypoint cancels itself",
        STAYS,
        "job failed: CancelledFromWithin",
        ended(FAILED, wrong=Wrong.CANCELS_ITSELF, by=by_itself, within=6),
    ),
    Row(
        "entrypoint does not return",
        STAYS,
        "job completed: cancelled 1 s after the call's end",
        ended(COMPLETED, wrong=Wrong.DOES_NOT_RETURN, within=6),
    ),
    Row(
        "entrypoint ignores its cancel",
        STAYS,
        "job killed: ended at AGENT_JOB_END_SECONDS (here 6)",
        ended(KILLED, wrong=Wrong.IGNORES_CANCEL, within=12),
        soak=True,
    ),
    Row(
        "a task of the entrypoint's loses its cancel (PyMongo does on Python 3.11)",
        STAYS,
        "job completed: left behind 10 s after its cancel",
        loses_its_cancel,
    ),
    Row(
        "a thread of the entrypoint's outlives the call",
        STAYS,
        "job completed; its slot is taken, and counted as running, until its process ends",
        keeps_a_thread,
    ),
    Row(
        "lifespan raises before its yield",
        NO_AGENT,
        "job failed, traceback in the log",
        ended(FAILED, wrong=Wrong.RAISES_BEFORE_YIELD, by=by_itself, until=Point.OPENED, within=6),
    ),
    Row(
        "lifespan raises after its yield",
        STAYS,
        "job failed, traceback in the log",
        ended(FAILED, wrong=Wrong.RAISES_AFTER_YIELD, within=6),
    ),
    Row(
        "lifespan's task group fails in mid-call",
        STAYS,
        "job failed: the lifespan ended before its time",
        ended(FAILED, wrong=Wrong.LIFESPAN_DIES, by=by_itself, within=6),
    ),
    Row(
        "open times out",
        NO_AGENT,
        "job failed: names what was still opening",
        ended(FAILED, wrong=Wrong.OPEN_HANGS, by=by_itself, until=Point.OPENING, within=8),
    ),
    Row(
        "shutdown during open",
        NO_AGENT,
        "job failed: it never was open",
        ended(FAILED, wrong=Wrong.OPEN_HANGS, by=terminate_job, until=Point.OPENING, within=8),
    ),
    Row(
        "a close hangs",
        STAYS,
        "job completed, close failure counted; the others closed",
        ended(COMPLETED, wrong=Wrong.CLOSE_HANGS, within=8),
    ),
    Row(
        "a close raises",
        STAYS,
        "job completed, close failure counted; the others closed",
        ended(COMPLETED, wrong=Wrong.CLOSE_RAISES, within=6),
    ),
    Row(
        "a close ignores its cancel",
        STAYS,
        "job completed, close failure counted; process ended at AGENT_JOB_END_SECONDS (here 6)",
        ended(COMPLETED, wrong=Wrong.CLOSE_IGNORES_CANCEL, within=12),
        soak=True,
    ),
    Row(
        "the loop is blocked after the yield",
        STAYS,
        "job killed: ended at AGENT_JOB_END_SECONDS (here 6), by a thread",
        ended(KILLED, wrong=Wrong.BLOCKS_AFTER_YIELD, within=12),
    ),
    Row(
        "on_session_end raises",
        STAYS,
        "job failed, traceback in the log",
        ended(FAILED, wrong=Wrong.SESSION_END_RAISES, within=6),
    ),
    Row(
        "a shutdown callback of the user's raises",
        STAYS,
        "job failed, traceback in the log; its datastores closed after it",
        ended(FAILED, wrong=Wrong.CALLBACK_RAISES, within=6),
    ),
    Row(
        "a shutdown callback of the user's hangs and ignores its cancel",
        STAYS,
        "job failed: left behind at AGENT_SHUTDOWN_CALLBACKS_SECONDS (here 2), its datastores closed after it",
        ended(FAILED, wrong=Wrong.CALLBACK_HANGS, within=12),
    ),
    Row(
        "SIGKILL of the job",
        SILENCE,
        "job killed",
        ended(KILLED, by=kill, within=5),
    ),
    Row(
        "SIGKILL of the job while a program runs that it started",
        SILENCE,
        "job killed; the program lives on without its sockets",
        killed_with_a_helper(Wrong.RUNS_A_PROGRAM, keeps_connections=False),
    ),
    Row(
        "SIGKILL of the job while a process lives that it forked",
        SILENCE,
        "job killed; a fork keeps the job's sockets until it ends",
        killed_with_a_helper(Wrong.FORKS, keeps_connections=True),
    ),
    Row(
        "the job asks for more memory than it may have (RLIMIT_DATA)",
        STAYS,
        "job failed: MemoryError",
        ended(FAILED, wrong=Wrong.RUNS_OUT_OF_MEMORY, by=by_itself, within=8),
    ),
]
