"""How a worker can end, and what becomes of the calls that it has."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import psutil

from infra.local.errors import StartFailed
from infra.local.eventually import together
from infra.local.processes import alive, children
from infra.local.worker import Worker
from tests.faults.bench import SLOTS, START_SECONDS, WORKER_FAULTY, Bench
from tests.faults.patience import eventually
from tests.faults.row import CONNECTIONS, PROCESS, SLOT, Row, Seen, Stopwatch
from tests.faults.rows_common import EXIT_LIFESPAN_FAILED, end, ends_at_start, filled, log, log_of
from tests.faults.wrongs import OPEN_FILES, Point, WorkerWrong, marked

Inject = Callable[[Bench], Awaitable[Seen]]

SILENCE = "silence, until LiveKit misses the agent (about 20 s)"


PING_SECONDS = 2.5  # LiveKit's `ping_interval` for job processes


async def main_killed(bench: Bench) -> Seen:
    """Nobody is left to end the jobs, or to sweep: they must notice by themselves."""
    return await _main_killed(bench, unanswered=False)


async def main_killed_unanswered(bench: Bench) -> Seen:
    """A ping that is answered to nobody ends a process by an exception, which LiveKit's log thread outlives."""
    return await _main_killed(bench, unanswered=True)


async def _main_killed(bench: Bench, unanswered: bool) -> Seen:
    others = bench.of_jobs()
    async with bench.worker() as worker:
        jobs = [await _placed(bench, worker, f"{worker.name}-orphan-{n}") for n in range(2)]
        family = children(worker.process.pid)
        assert len(bench.owners(worker)) == 2
        if unanswered:
            for process in family:
                process.suspend()
            await asyncio.sleep(PING_SECONDS)
        since = Stopwatch()
        os.kill(worker.process.pid, signal.SIGKILL)
        if unanswered:
            for process in family:
                process.resume()

        async def seconds(column: str, condition: Callable[[], bool]) -> tuple[str, float]:
            await eventually(condition, within=20, what=f"{column} after the main process was killed")
            return column, since.seconds

        # Only what this worker had: others of the bench keep theirs.
        try:
            seen = await together(
                [
                    seconds(CONNECTIONS, lambda: bench.of_jobs() == others),
                    seconds(SLOT, lambda: not bench.owners(worker)),
                    seconds(PROCESS, lambda: not any(alive(p.pid) for p in family)),
                ]
            )
        except TimeoutError as late:
            raise TimeoutError(f"{late}; still there: {_described(family)}") from None
    return Seen(
        "exit status -9",
        dict(seen),
        f"{len(jobs)} calls with it; {len(family)} processes, all ended by themselves",
    )


def _described(family: list[psutil.Process]) -> str:
    """Which of these processes still run, and in what they wait: seen once in some fifty runs, on a busy machine."""
    lines = []
    for process in family:
        with contextlib.suppress(psutil.Error, OSError):
            status, threads = process.status(), process.num_threads()
            waits = Path(f"/proc/{process.pid}/wchan").read_text()
            lines.append(f"{process.pid} {status} {threads} threads in {waits}: {process.cmdline()[-1:]}")
    return "; ".join(lines) or "none"


async def _placed(bench: Bench, worker: Worker, room: str) -> int:
    await bench.dispatch(worker.name, room)
    return await bench.reached(room, Point.IN_THE_CALL)


async def drained(bench: Bench) -> Seen:
    """SIGTERM with a call running: the call goes on, the worker is not ready, and is gone once the call ended."""
    async with bench.worker() as worker:
        room = f"{worker.name}-drained"
        pid = await _placed(bench, worker, room)
        since = Stopwatch()
        worker.process.terminate()
        await eventually(lambda: _readiness(bench, worker, 503), within=5, what="not ready")
        unready = since.seconds
        await eventually(lambda: "draining" in log(worker), within=5, what="the drain logged")
        assert alive(pid)
        assert pid in bench.owners(worker).values()
        await end(bench, [room])
        since = Stopwatch()
        status = await _gone(bench, worker)
        assert status == 0, worker.process.last_lines()
        assert "Traceback" not in log(worker), worker.process.last_lines()
        assert not alive(pid)
        return Seen(
            f"exit status {status}",
            {PROCESS: since.seconds, "not ready": unready},
            "counted from the hang-up",
        )


async def second_sigterm(bench: Bench) -> Seen:
    """Who asks twice does not want to wait: LiveKit ends the main process at once."""
    others = bench.of_jobs()
    async with bench.worker() as worker:
        pid = await _placed(bench, worker, f"{worker.name}-twice")
        worker.process.terminate()
        await eventually(lambda: _readiness(bench, worker, 503), within=5, what="the drain begun")
        since = Stopwatch()
        worker.process.terminate()
        await eventually(lambda: not worker.process.alive, within=10, what="the main process gone")
        main_gone = since.seconds
        await eventually(lambda: not alive(pid), within=20, what="its job gone")
        job_gone = since.seconds
        await eventually(lambda: bench.of_jobs() == others, within=10, what="connections gone")
        seen = {CONNECTIONS: since.seconds, PROCESS: job_gone, "main process gone": main_gone}
        status = await bench.stack.run.stop(worker.process)
    return Seen(f"exit status {status}", seen, "the running call is cut off")


async def _readiness(bench: Bench, worker: Worker, status: int) -> bool:
    return await bench.ready(worker) == status


async def opening_fails(bench: Bench) -> Seen:
    status, said, seconds = await ends_at_start(
        bench, "unopened", {"FAULTS_WORKER": WorkerWrong.RAISES_BEFORE_YIELD}
    )
    assert status == EXIT_LIFESPAN_FAILED, said
    assert "the worker does not start" in said, said
    return Seen(f"exit status {status}", {PROCESS: seconds}, "before it registered; with its own message")


async def stopped_in_open(bench: Bench) -> Seen:
    """SIGTERM while the worker lifespan hangs in its opening."""
    others = bench.of_jobs()
    name = "hanging"
    marked(bench.marks, "worker", Point.OPENING).unlink(missing_ok=True)
    task = asyncio.create_task(_start_hanging(bench, name))
    await bench.reached("worker", Point.OPENING)
    process = next(p for p in bench.stack.run.processes if p.name == name)
    since = Stopwatch()
    process.terminate()
    await eventually(lambda: not process.alive, within=10, what="the worker gone")
    seconds = since.seconds
    with contextlib.suppress(StartFailed):
        await task
    said = process.log.read_text(errors="replace")
    assert "Traceback" not in said, process.last_lines()
    await eventually(lambda: bench.of_jobs() == others, within=5, what="connections gone")
    seen = {CONNECTIONS: since.seconds, PROCESS: seconds}
    return Seen(f"exit status {process.exit_status}", seen, "no traceback")


async def too_few_files(bench: Bench) -> Seen:
    status, said, seconds = await ends_at_start(
        bench, "few-files", {"FAULTS_WORKER": WorkerWrong.NOTHING, OPEN_FILES: "64"}
    )
    assert status == EXIT_LIFESPAN_FAILED, said
    assert "RLIMIT_NOFILE=64 open files (ulimit -n): accepted: at least 153" in said, said
    return Seen(f"exit status {status}", {PROCESS: seconds}, "names the number that would do")


async def _start_hanging(bench: Bench, name: str) -> None:
    async with bench.worker(name, {"FAULTS_WORKER": WorkerWrong.OPEN_HANGS}, entrypoint=WORKER_FAULTY):
        raise AssertionError("ready though its lifespan is not open")


def leaving(what: WorkerWrong, *, dies: bool) -> Inject:
    """A worker whose lifespan ends badly: after the drain, or by itself in mid-life."""

    async def inject(bench: Bench) -> Seen:
        others = bench.of_jobs()
        asked = marked(bench.marks, "worker", Point.HELPER)
        asked.unlink(missing_ok=True)
        left = marked(bench.marks, "worker", Point.LEAVING)
        left.unlink(missing_ok=True)
        async with bench.worker("", {"FAULTS_WORKER": what}, entrypoint=WORKER_FAULTY) as worker:
            room = f"{worker.name}-last"
            pid = await _placed(bench, worker, room)
            if dies:
                asked.touch()
            else:
                worker.process.terminate()
            since = Stopwatch()
            await eventually(lambda: _readiness(bench, worker, 503), within=5, what="draining")
            unready = since.seconds
            assert alive(pid), "the call goes on while the worker drains"
            assert not left.exists(), "left before the last call ended"
            await end(bench, [room])
            since = Stopwatch()
            status = await _gone(bench, worker)
            seconds = since.seconds
            assert status == 0, worker.process.last_lines()
            assert left.exists() != dies
            expected = {
                WorkerWrong.RAISES_AFTER_YIELD: "the worker lifespan raised after its yield",
                WorkerWrong.DIES: "the worker lifespan ended by itself: draining",
            }.get(what, "")
            assert expected in log(worker), worker.process.last_lines()
        await eventually(lambda: bench.of_jobs() == others, within=5, what="connections gone")
        return Seen(
            f"exit status {status}",
            {PROCESS: seconds, "not ready": unready},
            "the running call ended in peace" + ("" if dies else "; the lifespan was left after it"),
        )

    return inject


async def _gone(bench: Bench, worker: Worker) -> int:
    """Wait for a worker that ends by itself; a second SIGTERM would cut it short."""
    assert await worker.process.exited(within=60), worker.process.last_lines()
    return await bench.stack.run.stop(worker.process)


async def readiness(bench: Bench) -> Seen:
    """Asked from the moment the worker listens: not ready until it is registered, ready with every slot taken."""
    seen: list[int] = []
    name = "readiness"
    async with AsyncExitStack() as stack:
        starting = asyncio.create_task(stack.enter_async_context(bench.worker(name)))

        async def started() -> bool:
            said = [log_of(process) for process in bench.stack.run.processes if process.name == name]
            if found := re.search(r"HTTP server listening on [\d.]+:(\d+)", "".join(said)):
                seen.append(await bench.ready_at(int(found[1])))
            return starting.done()

        await eventually(started, within=START_SECONDS, what="a worker registered", every=0.02)
        worker = await starting
        assert 503 in seen, f"not ready before it is registered: {set(seen)}"
        assert "registered worker" in log(worker)
        rooms = [f"{name}-{n}" for n in range(SLOTS)]
        await together(bench.dispatch(name, room) for room in rooms)
        await filled(bench, [worker])
        assert await bench.ready(worker) == 200, "a full worker is ready"
        await end(bench, rooms)
    return Seen(
        "503, then 200", note=f"{seen.count(503)} times 503 before it registered; 200 with every slot taken"
    )


ROWS: list[Row[Bench]] = [
    Row(
        "SIGKILL of the worker's main process",
        SILENCE,
        "the pod restarts; jobs end by themselves",
        main_killed,
    ),
    Row(
        "SIGKILL of the worker's main process that has just asked its processes whether they live",
        SILENCE,
        "the pod restarts; jobs end by themselves",
        main_killed_unanswered,
    ),
    Row(
        "SIGTERM with a call running",
        "nothing: the call goes on",
        "not ready; exit 0 after the call",
        drained,
    ),
    Row(
        "second SIGTERM with a call running",
        "the agent leaves",
        "exit status 1 at once",
        second_sigterm,
        soak=True,
    ),
    Row(
        "worker lifespan raises before its yield", "nothing", "exit status 3, its own message", opening_fails
    ),
    Row(
        "a worker may open fewer files than its slots take (64)",
        "nothing",
        "exit status 3, its own message",
        too_few_files,
    ),
    Row(
        "SIGTERM while the worker lifespan hangs in its opening",
        "nothing",
        "ends at once, no traceback",
        stopped_in_open,
        soak=True,
    ),
    Row(
        "worker lifespan is left after the drain",
        "nothing: the call goes on",
        "exit 0; left once the last call ended",
        leaving(WorkerWrong.NOTHING, dies=False),
        soak=True,
    ),
    Row(
        "worker lifespan raises after its yield",
        "nothing: the call goes on",
        "exit 0, error in the log",
        leaving(WorkerWrong.RAISES_AFTER_YIELD, dies=False),
        soak=True,
    ),
    Row(
        "worker lifespan dies in mid-life",
        "nothing: the call goes on",
        "the worker drains; exit 0",
        leaving(WorkerWrong.DIES, dies=True),
        soak=True,
    ),
    Row(
        "readiness of a starting and of a full worker",
        "nothing",
        "503 until registered, 200 when full",
        readiness,
    ),
]
