"""`python -m tests.faults.gauges_jobs`: forked processes that do to their slot and their metrics what a job does.

Up to 8 at once, 1 to 2 ms each instead of the 250 ms of a whole LiveKit job, so that 10 000 fit into a test. One in ten
kills itself with SIGKILL at a step drawn at random, one in fifty fails. Prints, as JSON, what became of them.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Literal

# The package's own __init__ imports LiveKit, 130 MB whose page tables every fork would copy (12 ms instead of 1). What
# is under test here needs none of it.
_runtime = ModuleType("agent.runtime")
_runtime.__path__ = [str(Path(__file__).resolve().parents[2] / "agent/runtime")]
sys.modules["agent.runtime"] = _runtime

from agent.runtime import metrics  # noqa: E402
from agent.runtime.datastores.base import Connections, publish  # noqa: E402
from agent.runtime.settings import WorkerSettings  # noqa: E402
from agent.runtime.slots import SlotFile  # noqa: E402

KILL_SHARE, FAIL_SHARE = 0.1, 0.02
DATASTORES = ("mongodb", "redis")

Outcome = Literal["completed", "failed", "killed"]
# Where a job may die. Not drawn: the two instants that metrics.begin() and metrics.end() name, in which a death is
# counted not at all or twice; no connection is open in either.
STEPS = ("running", "opened", "in use", "sampled", "closing")


class Client:
    """A datastore as far as metrics see it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.held = Connections()

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def connections(self) -> Connections:
        return self.held


def job(settings: WorkerSettings, *, outcome: Outcome, dies_at: str, gate: Gate) -> None:
    """The same steps in the same order as agent/runtime/job.py and datastores/base.py."""

    def reached(step: str) -> None:
        if step == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    slot = own_a_slot(settings.slot_directory, settings.slots)
    gate.wait()
    metrics.begin(slot.name, settings)
    reached("running")
    clients = [Client(name) for name in DATASTORES]
    for client in clients:
        client.held = Connections(idle=1, monitoring=1)
        metrics.OPEN_SECONDS.labels(client.name).observe(0.02)
        publish(client)
    reached("opened")
    for client in clients:
        client.held = Connections(in_use=2, monitoring=1)
        for _ in range(3):
            metrics.CHECKOUT_SECONDS.labels(client.name).observe(0.001)
    reached("in use")
    for client in clients:
        publish(client)
    reached("sampled")
    for client in reversed(clients):
        client.held = Connections()
        metrics.CLOSE_SECONDS.labels(client.name).observe(0.01)
        publish(client)
    reached("closing")
    metrics.end(slot.name, outcome, metrics.Ended.ENDED, settings)


class Gate:
    """The first jobs wait here for one another, so that after any warm-up each slot has been used."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        self._opened = False

    def wait(self) -> None:
        """In a job: until the process that forks them has opened the gate."""
        if not self._opened:
            os.close(self._write)
            os.read(self._read, 1)  # nothing is ever written: returns when the last writer is gone

    def open(self) -> None:
        os.close(self._write)
        self._opened = True


def own_a_slot(directory: Path, slots: int) -> SlotFile:
    # The sweeper may hold a dead job's slot for an instant; another is free then, or this one in the next round.
    while True:
        for number in range(slots):
            slot = SlotFile(directory, f"slot{number}")
            if slot.try_lock():
                return slot
            slot.close()


def main(jobs: int, seed: int) -> None:
    settings = WorkerSettings.from_environment()
    slots = settings.slots
    random = Random(seed)
    metrics.install()
    gc.freeze()  # a collection in a child would copy the whole heap
    outcomes: Counter[str] = Counter()
    opened = running = 0
    gate = Gate()
    for number in range(jobs):
        if number == slots:
            gate.open()
        outcome, dies_at = drawn(random)
        outcomes[outcome] += 1
        opened += dies_at != "running"
        if running == slots:
            wait_for_one()
            running -= 1
        if os.fork() == 0:
            try:
                job(settings, outcome=outcome, dies_at=dies_at, gate=gate)
            finally:
                os._exit(0)
        running += 1
    if jobs <= slots:
        gate.open()
    while running:
        wait_for_one()
        running -= 1
    print(json.dumps({"outcomes": outcomes, "opened": opened}))


def drawn(random: Random) -> tuple[Outcome, str]:
    chance = random.random()
    if chance < KILL_SHARE:
        return "killed", random.choice(STEPS)
    return ("failed" if chance < KILL_SHARE + FAIL_SHARE else "completed"), ""


def wait_for_one() -> None:
    os.wait()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
