"""What goes wrong on purpose: a job is killed in a call, a worker is replaced under load."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable

from infra.local import slot_locks
from infra.local.demo.invariants import GAUGE_SECONDS
from infra.local.demo.report import Kill, Rollover
from infra.local.demo.waves import Calls
from infra.local.eventually import eventually
from infra.local.jobs import process_of
from infra.local.stack import Stack
from infra.local.watch import Watch
from infra.local.worker import Worker

# The first caller of a cold fleet talks after some seconds; a fleet that answers nobody ends the demo by other means.
TALKING_SECONDS = 60.0

Mark = Callable[[str], None]


async def kill_one_job(stack: Stack, watch: Watch, calls: Calls, mark: Mark) -> Kill | None:
    """SIGKILL the process of a call in which the agent has spoken; None when there was none to be found."""
    try:
        await eventually(lambda: bool(calls.talking), within=TALKING_SECONDS, what="a call to interfere with")
        caller = calls.talking[0]
        caller.choose_as_victim()
        await eventually(
            lambda: _process(stack, caller.room) is not None, within=TALKING_SECONDS, what="its process"
        )
    except TimeoutError:
        return None
    if (found := _process(stack, caller.room)) is None:
        return None
    worker, pid = found
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:  # its caller hung up meanwhile
        return None
    killed = time.monotonic()
    mark("job killed (SIGKILL)")

    def counted() -> bool:
        return worker in watch.latest and watch.latest[worker].outcomes.get("killed", 0) > 0

    seconds: float | None
    try:
        await eventually(counted, within=GAUGE_SECONDS, what="killed job counted")
        seconds = round(time.monotonic() - killed, 2)
    except TimeoutError:
        seconds = None
    return Kill(caller.room, pid, worker, seconds)


async def drain_one_worker(stack: Stack, calls: Calls, new: Worker, mark: Mark) -> Rollover:
    """Drain the oldest worker, whose replacement is up, while it has calls: what a Deployment does, pod by pod."""
    old = next(iter(stack.workers.values()))
    drains = asyncio.Event()
    try:
        # The report says with how many jobs it was drained, 0 included.
        with contextlib.suppress(TimeoutError):
            await eventually(
                lambda: _keep_one(calls, old, drains), within=TALKING_SECONDS, what="a call on it"
            )
        mark(f"{old.name} drains (SIGTERM)")
        jobs, began = _jobs(old), time.monotonic()
        old.process.terminate()
    finally:
        drains.set()
    # The kubelet's own bound, from the same solution. The signal was sent already: a second one would kill.
    await old.process.exited(within=stack.solution.time.termination_grace_period_seconds)
    seconds = round(time.monotonic() - began, 2)
    status = await stack.stop_worker(old, within=0)
    mark(f"{old.name} gone")
    return Rollover(old.name, new.name, jobs, seconds, status)


def _process(stack: Stack, room: str) -> tuple[str, int] | None:
    """The worker and the pid that have this call."""
    for name, worker in stack.workers.items():
        if pid := process_of(worker, room):
            return name, pid
    return None


def _keep_one(calls: Calls, worker: Worker, until: asyncio.Event) -> bool:
    """Have one call on this worker go on until the event; False if there is none yet."""
    for caller in calls.talking_in_latest_wave:
        if process_of(worker, caller.room):
            caller.stays_until = until
            return True
    return False


def _jobs(worker: Worker) -> int:
    return len(slot_locks.owners(worker.slot_directory))
