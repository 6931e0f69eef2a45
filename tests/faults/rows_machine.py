"""What the machine does to a job or a worker: memory, descriptors, disk, signals, and a livekit-server that goes."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from infra.local.conversation import Conversation
from infra.local.eventually import together
from infra.local.processes import alive
from infra.local.servers import livekit
from infra.local.worker import Worker
from tests.faults.bench import SLOTS, START_SECONDS, Bench
from tests.faults.cgroup import memory_cgroup
from tests.faults.patience import eventually
from tests.faults.row import GAUGES, NotHere, Row, Seen, Stopwatch
from tests.faults.rows_common import all_talking, end, filled, log, refused
from tests.faults.rows_jobs import COMPLETED, FAILED, KILLED, NO_AGENT, SILENCE, STAYS, On
from tests.faults.wrongs import Point, Wrong, marked

# Beside what the job holds already; it asks for 512 MiB.
MEMORY_LEFT_BYTES = 64 * 2**20
# LiveKit's worker pings its jobs, and kills one that has not answered for 30 s (`ping_timeout` under `start`).
STOPPED_SECONDS = 90.0
DISK_BYTES = 2 * 2**20


async def out_of_memory(on: On) -> Seen:
    """The kernel's own killer, in a memory cgroup that holds this one job."""
    with memory_cgroup(MEMORY_LEFT_BYTES) as cgroup:
        job = await on.bench.call(on.worker, Wrong.GROWS)
        cgroup.add(job.pid)
        since = Stopwatch()
        marked(on.bench.marks, job.room, Point.GO).touch()
        seconds = await on.bench.truth(job, since, KILLED, within=15)
        assert cgroup.kills == 1, f"{cgroup.kills} killed by the kernel for memory"
    return Seen(KILLED, seconds, f"counted by the kernel: 1 oom_kill, at {MEMORY_LEFT_BYTES >> 20} MiB")


async def stopped(on: On) -> Seen:
    """SIGSTOP: it lives, holds its slot and its connections, and answers nobody."""
    job = await on.bench.call(on.worker, Wrong.NOTHING)
    since = Stopwatch()
    os.kill(job.pid, signal.SIGSTOP)
    seconds = await on.bench.truth(job, since, KILLED, within=STOPPED_SECONDS)
    assert await on.bench.ready(on.worker) == 200
    return Seen(
        KILLED, seconds, "killed by its worker, whose pings it does not answer; the worker stays ready"
    )


async def signalled(on: On) -> Seen:
    """As by an operator, or a shutdown script, that signals every process."""
    job = await on.bench.call(on.worker, Wrong.NOTHING)
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(job.pid, number)
    gauges = await on.bench.gauges(on.worker)
    assert gauges.running == 1
    assert alive(job.pid)
    since = Stopwatch()
    await end(on.bench, [job.room])
    return Seen(
        COMPLETED, await on.bench.truth(job, since, COMPLETED, within=8), "counted from the call's end"
    )


async def out_of_descriptors(on: On) -> Seen:
    """Every descriptor is taken when the call ends: closing must need none."""
    job = await on.bench.call(on.worker, Wrong.RUNS_OUT_OF_DESCRIPTORS)
    await on.bench.reached(job.room, Point.HELPER)
    since = Stopwatch()
    await end(on.bench, [job.room])
    return Seen(COMPLETED, await on.bench.truth(job, since, COMPLETED, within=8))


async def disk_full(bench: Bench) -> Seen:
    """The metrics directory has no room for one more job; then it has."""
    name = "disk-full"
    with small_disk(bench.stack.run.directory(f"{name}/small")) as disk:
        async with bench.worker(name, {"PROMETHEUS_MULTIPROC_DIR": str(disk)}) as worker:
            others, filler = bench.of_jobs(), disk / "filler"
            _fill(filler)
            await bench.dispatch(name, f"{name}-refused")
            since = Stopwatch()
            await eventually(
                lambda: "PROMETHEUS_MULTIPROC_DIR: No space left" in log(worker),
                within=START_SECONDS,
                what="the log that says so",
            )
            said = since.seconds
            await eventually(
                lambda: not bench.owners(worker) and bench.of_jobs() == others,
                within=10,
                what="slot and connections free",
            )
            freed = since.seconds
            assert await bench.ready(worker) == 200
            filler.unlink()
            job = await bench.call(worker, Wrong.NOTHING)
            since = Stopwatch()
            await end(bench, [job.room])
            seconds = await bench.truth(job, since, COMPLETED, within=8)
    return Seen(
        FAILED,
        seconds | {"said": said, "its slot free": freed},
        "it opened no connection and is not counted; with room again, the next call completed (whose times these are)",
    )


@contextmanager
def small_disk(directory: Path) -> Iterator[Path]:
    """A file system of its own.

    Raises:
        NotHere: this user may not mount one.
    """
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "agent-faults", str(directory)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        raise NotHere(f"needs root: mount: {mounted.stderr.strip()}")
    try:
        yield directory
    finally:
        subprocess.run(["umount", str(directory)], check=True)


def _fill(path: Path) -> None:
    try:
        with path.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
    except OSError:
        return


async def fork_server_killed(bench: Bench) -> Seen:
    """The process that LiveKit forks jobs from dies under a running call."""
    async with bench.worker() as worker:
        job = await bench.call(worker, Wrong.NOTHING)
        parent = psutil.Process(job.pid).ppid()
        assert parent != worker.process.pid
        os.kill(parent, signal.SIGKILL)
        # As many calls more as there are slots: those that fit come from a new fork server.
        since = Stopwatch()
        more = [f"{worker.name}-more-{n}" for n in range(SLOTS)]
        await together(bench.dispatch(worker.name, room) for room in more)
        await filled(bench, [worker])
        full = since.seconds
        await refused(bench, [worker], 1)
        assert job.pid in bench.owners(worker).values(), "the first call goes on"
        await all_talking(bench, [worker])
        since = Stopwatch()
        await end(bench, [job.room, *more])
        await bench.at_rest(worker)
        seconds = {GAUGES: since.seconds, "full again": full}
        # LiveKit reads the dead fork server as its children's end, and cuts off those that end later: killed, or
        # completed where they were faster.
        outcomes = (await bench.gauges(worker)).outcomes
        assert sum(outcomes.values()) == SLOTS, outcomes
        assert outcomes["completed"] >= SLOTS // 2, outcomes
        assert bench.of_jobs() == dict.fromkeys(bench.of_jobs(), 0)
    return Seen(f"{outcomes['completed']} completed, {outcomes['killed']} killed", seconds, "the cap holds")


async def livekit_restarts(bench: Bench) -> Seen:
    """The one livekit-server is killed in mid-call and started again; rooms live in its memory."""
    stack = bench.stack
    async with bench.worker() as worker:
        job = await bench.call(worker, Wrong.NOTHING)
        async with Conversation(stack.line, job.room, "caller"):
            await bench.reached(job.room, Point.CALLER, within=10)
            since = Stopwatch()
            os.kill(stack.livekit.process.pid, signal.SIGKILL)
            await stack.run.stop(stack.livekit.process)
            await eventually(lambda: _status(bench, worker, 503), within=10, what="not ready")
            unready = since.seconds
            stack.livekit = await livekit.start_again(stack.run, stack.livekit)
            back = Stopwatch()
            await eventually(lambda: _status(bench, worker, 200), within=60, what="ready again")
            ready = back.seconds
            seconds = await bench.truth(job, since, COMPLETED, within=60)
        again = await bench.call(worker, Wrong.NOTHING)
        await end(bench, [again.room])
        await bench.truth(again, Stopwatch(), COMPLETED, within=8)
    seconds |= {"not ready": unready, "ready again once it is back": ready}
    return Seen(COMPLETED, seconds, "the next call completed")


async def _status(bench: Bench, worker: Worker, status: int) -> bool:
    return await bench.ready(worker) == status


ROWS_OF_A_JOB: list[Row[On]] = [
    Row(
        "the kernel kills the job for memory (a cgroup's limit)",
        SILENCE,
        "job killed; where the kubelet groups a container's processes (cgroup v2, default since 1.28) the whole worker",
        out_of_memory,
        needs_root=True,
    ),
    Row(
        "the job has no descriptor left, and the call ends",
        STAYS,
        "job completed",
        out_of_descriptors,
    ),
    Row(
        "SIGTERM and SIGINT of the job alone",
        "nothing: the call goes on",
        "job completed",
        signalled,
    ),
    Row("SIGSTOP of the job", SILENCE, "job killed, by LiveKit's ping timeout of 30 s", stopped, soak=True),
]

ROWS_OF_A_WORKER: list[Row[Bench]] = [
    Row(
        "the metrics directory's disk is full",
        NO_AGENT,
        "job failed: names the directory; the worker stays ready",
        disk_full,
        soak=True,
        needs_root=True,
    ),
    Row(
        "SIGKILL of the process that jobs are forked from",
        "nothing: the call goes on",
        "LiveKit starts another for the next job; jobs of the old one are cut off while they close",
        fork_server_killed,
        soak=True,
    ),
    Row(
        "livekit-server is killed in mid-call and started again",
        "cut off; the next call works",
        "not ready until it is registered anew",
        livekit_restarts,
        soak=True,
    ),
]
