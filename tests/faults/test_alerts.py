"""Alerts fire for real, after the time they take in production, when their fault is caused; and resolve after it."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from infra.budget import solve
from infra.budget.capacity import capacity
from infra.config import apply_overrides, load_config
from infra.handoff.series import budget_series
from infra.local import stack as stacks
from infra.local.__main__ import STACK_FILE
from infra.local.eventually import eventually
from infra.local.observed import Observed, observed
from infra.local.ports import LOOPBACK
from infra.local.run import Run

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

LEAK_SECONDS = 120.0  # within which a leaked connection must be told
LOOKS_BACK_SECONDS = 300.0  # agent:server_refusals:increase5m


def silent(_: str) -> None:
    pass


@contextmanager
def held(port: int, count: int) -> Iterator[None]:
    """So many connections that nobody answers for."""
    with ExitStack() as sockets:
        for _ in range(count):
            sockets.enter_context(socket.create_connection((LOOPBACK, port), timeout=5))
        yield


async def fires(watched: Observed, *names: str, within: float = LEAK_SECONDS) -> None:
    began = time.monotonic()
    for name in names:

        async def firing(name: str = name) -> bool:
            return name in await watched.firing()

        await eventually(firing, within=within, every=1, what=f"{name} fires")
        print(f"{name} fires after {time.monotonic() - began:.0f} s")


async def resolves(watched: Observed, *names: str, within: float = LEAK_SECONDS) -> None:
    async def gone() -> bool:
        return not set(names) & set(await watched.firing())

    await eventually(gone, within=within, every=1, what=f"{', '.join(names)} resolved")
    print(f"{', '.join(names)}: resolved")


async def test_alerts_fire_when_their_fault_is_caused_and_resolve(tmp_path: Path) -> None:
    # No consumer of mongodb: whoever is there beside the fleet is a stranger, from the first connection on.
    changes = {"fleet.slots": 2, "fleet.jobs": 2, "mongodb.consumers": {}}
    config = apply_overrides(load_config(STACK_FILE), changes)
    solution = solve(config)
    async with (
        Run("test-alerts", tmp_path) as run,
        stacks.running(run, solution, workers=1, say=silent) as stack,
        observed(stack, budget_series(solution, capacity(config))) as watched,
    ):

        async def counted() -> bool:
            return bool(await watched.series("agent:server_connections_beside_the_fleet", seconds=30))

        await eventually(counted, within=60, every=1, what="rules evaluated")
        with held(stack.mongodb.port, 1):
            await fires(watched, "AgentConnectionsUnaccounted")
        await resolves(watched, "AgentConnectionsUnaccounted")

        redis = solution.datastores["redis"]
        with held(stack.redis.port, redis.alerts.critical_above):
            await fires(watched, "AgentConnectionsNearLimit", "AgentConnectionsNearBudget")
            with held(stack.redis.port, redis.limit):
                pass
        await fires(watched, "AgentConnectionsRefused")
        await resolves(watched, "AgentConnectionsNearLimit", "AgentConnectionsNearBudget")

        (worker,) = stack.workers.values()
        os.killpg(worker.process.pid, signal.SIGKILL)
        await fires(watched, "AgentScrapeFailing", "AgentWorkersMissing", within=240)
        await stack.stop_worker(worker, within=1)
        await stack.start_worker()
        await resolves(watched, "AgentScrapeFailing", "AgentWorkersMissing")
        await resolves(watched, "AgentConnectionsRefused", within=LOOKS_BACK_SECONDS + LEAK_SECONDS)
