"""How many jobs a worker takes, and what becomes of one that got past admission."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from infra.local.eventually import together
from infra.local.ports import LOOPBACK, free_port
from infra.local.worker import Worker
from tests.faults.bench import SLOTS, START_SECONDS, STOP_SECONDS, Bench
from tests.faults.patience import eventually
from tests.faults.row import PROCESS, Row, Seen, Stopwatch
from tests.faults.rows_common import (
    EXIT_LIFESPAN_FAILED,
    all_talking,
    end,
    ends_at_start,
    filled,
    log,
    refused,
)
from tests.faults.wrongs import Point, WorkerWrong, Wrong, marked

Inject = Callable[[Bench], Awaitable[Seen]]

REFUSED = "no agent comes; `place_call` asks again"
CAP = "accepted: exactly the slots"

BURST = 10  # times the slots


def cold_burst(*, workers: int, idle: int) -> Inject:
    """Ask workers that have not served yet for ten times their slots at once; end all; fill them again at once."""

    async def inject(bench: Bench) -> Seen:
        name = f"burst-{workers}-{idle}"
        async with AsyncExitStack() as stack:
            fleet = [
                await stack.enter_async_context(
                    bench.worker(f"{name}-{n}", {"AGENT_NAME": name, "AGENT_IDLE_PROCESSES": str(idle)})
                )
                for n in range(workers)
            ]
            asked = BURST * SLOTS * workers
            rooms = [f"{name}-cold-{n}" for n in range(asked)]
            since = Stopwatch()
            await together(bench.dispatch(name, room) for room in rooms)
            await filled(bench, fleet)
            full = since.seconds
            # Each refused request was offered to every worker.
            turned_away = (asked - SLOTS * workers) * workers
            await refused(bench, fleet, turned_away)
            gauges = [await bench.gauges(worker) for worker in fleet]
            accepted = [each.requests.get("accepted", 0) for each in gauges]
            assert accepted == [SLOTS] * workers, f"accepted {accepted}"
            # Idle processes, and jobs before they own a slot, have touched no metric.
            assert not [file for worker in fleet for file in bench.unowned(worker)]
            await all_talking(bench, fleet)
            await end(bench, rooms)
            for worker in fleet:
                await bench.at_rest(worker)
            again = [f"{name}-again-{n}" for n in range(SLOTS * workers)]
            since = Stopwatch()
            await together(bench.dispatch(name, room) for room in again)
            await filled(bench, fleet)
            again_full = since.seconds
            await all_talking(bench, fleet)
            await end(bench, again)
        return Seen(
            f"{asked} asked, {sum(accepted)} accepted",
            {"full": full, "full again": again_full},
            f"{'+'.join(map(str, accepted))} accepted; then {len(again)} of {len(again)} at once, none lost",
        )

    return inject


async def surplus(bench: Bench) -> Seen:
    """A second worker on the same slots has metrics of its own, so admission does not know of the first one's jobs."""
    async with bench.worker("owner", {"AGENT_SLOTS": "1"}) as owner:
        job = await bench.call(owner, Wrong.NOTHING)
        shared = {"AGENT_SLOTS": "1", "AGENT_SLOT_DIRECTORY": str(owner.slot_directory)}
        async with bench.worker("intruder", shared) as intruder:
            connected = bench.connected()
            peak = dict(connected)
            since = Stopwatch()
            await bench.dispatch("intruder", "surplus-call")

            async def failed() -> bool:
                for name, number in bench.connected().items():
                    peak[name] = max(peak[name], number)
                return (await bench.gauges(intruder)).outcomes.get("failed", 0) == 1

            await eventually(failed, within=START_SECONDS, what="the surplus job counted")
            counted = since.seconds
            assert peak == connected, f"the surplus job opened: {peak} of {connected}"
            assert bench.owners(owner) == {"slot0": job.pid}
            assert not marked(bench.marks, "surplus-call", Point.OPENING).exists()
            # A job's log comes through its worker, after the count that the job makes itself.
            said = "two workers share AGENT_SLOT_DIRECTORY"
            await eventually(lambda: said in log(intruder), within=5, what=f"the log that says {said!r}")
        # The surplus job's end, and the second worker's, took nothing from the first.
        assert bench.owners(owner) == {"slot0": job.pid}
        assert (await bench.gauges(owner)).running == 1
        await end(bench, [job.room])
        return Seen("failed", {"counted": counted}, "0 connections opened; the first worker's call goes on")


async def simulated(bench: Bench) -> Seen:
    """LiveKit's own `simulate_job` passes admission by: one job more than there are slots."""
    name = "simulated"
    rooms = [f"{name}-{n}" for n in range(SLOTS + 1)]
    async with unregistered(bench, name, rooms) as worker:
        since = Stopwatch()

        async def failed() -> bool:
            gauges = await worker.gauges(bench.http)
            return gauges is not None and gauges.outcomes.get("failed", 0) == 1 and gauges.running == SLOTS

        await eventually(failed, within=START_SECONDS, what="the surplus job counted")
        counted = since.seconds
        assert len(bench.owners(worker)) == SLOTS
        opened = [room for room in rooms if marked(bench.marks, room, Point.OPENING).exists()]
        assert len(opened) == SLOTS, f"opened: {opened}"
        said = "A job came past admission"
        await eventually(lambda: said in log(worker), within=5, what=f"the log that says {said!r}")
    return Seen("failed", {"counted": counted}, f"{SLOTS} jobs go on, the surplus one opened nothing")


@asynccontextmanager
async def unregistered(bench: Bench, name: str, rooms: Sequence[str]) -> AsyncIterator[Worker]:
    run = bench.stack.run
    slots, metrics = run.directory(f"{name}/slots"), run.directory(f"{name}/metrics")
    http_port, metrics_port = free_port(), free_port()
    own = {
        "AGENT_HOST": LOOPBACK,
        "AGENT_HTTP_PORT": str(http_port),
        "AGENT_METRICS_PORT": str(metrics_port),
        "AGENT_SLOT_DIRECTORY": str(slots),
        "PROMETHEUS_MULTIPROC_DIR": str(metrics),
    }
    command = [sys.executable, "-m", "tests.faults.agents.simulated", *rooms]
    process = run.start(name, command, environment=bench.environment(name, own))
    try:
        yield Worker(name, process, http_port, metrics_port, slots)
    finally:
        await run.stop(process, within=STOP_SECONDS)


async def same_metrics(bench: Bench) -> Seen:
    async with bench.worker("first") as first:
        directory = str(first.slot_directory.parent / "metrics")
        status, said, seconds = await ends_at_start(
            bench, "second", {"FAULTS_WORKER": WorkerWrong.NOTHING, "PROMETHEUS_MULTIPROC_DIR": directory}
        )
        assert status == EXIT_LIFESPAN_FAILED, said
        assert "is another worker's" in said, said
        assert await bench.ready(first) == 200
        return Seen(f"exit status {status}", {PROCESS: seconds}, "the first worker is not disturbed")


def burst(workers: int, idle: int, *, soak: bool = True) -> Row[Bench]:
    whom = "a cold worker" if workers == 1 else f"{workers} cold workers"
    warm = {0: "no idle process", SLOTS: "as many idle processes as slots"}.get(
        idle, f"{idle} idle processes"
    )
    return Row(
        f"burst of 10 × slots on {whom}, {warm}", REFUSED, CAP, cold_burst(workers=workers, idle=idle), soak
    )


ROWS: list[Row[Bench]] = [
    burst(1, 2, soak=False),
    *(burst(workers, idle) for workers, idle in ((1, 0), (1, SLOTS), (3, 0), (3, 2), (3, SLOTS))),
    Row(
        "a second worker on the same slot directory",
        "no agent comes to the surplus call; the others go on",
        "surplus job failed: two workers share AGENT_SLOT_DIRECTORY",
        surplus,
    ),
    Row(
        "a simulated job, which passes admission by",
        "no agent comes to the surplus call; the others go on",
        "surplus job failed: a job came past admission",
        simulated,
        soak=True,
    ),
    Row(
        "a second worker on the same metrics directory",
        "nothing",
        "it ends with status 3 and says why",
        same_metrics,
        soak=True,
    ),
]
