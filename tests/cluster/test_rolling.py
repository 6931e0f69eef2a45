"""Rolling updates with calls running: none is dropped, no server sees more than the budget, pods keep to the quota."""

from __future__ import annotations

import asyncio
import time

import pytest

from infra.kind import installed
from infra.kind.cluster import Cluster
from infra.kind.installed import FLEET
from infra.local.eventually import eventually
from tests.cluster import install, pods
from tests.cluster.install import Stack
from tests.cluster.load import Load, dropped, load
from tests.cluster.watching import Watch, within_budget

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800, func_only=True)]


async def test_rolling_fast(cluster: Cluster, fast: Stack) -> None:
    """Two rollouts within one grace period, all slots of both generations taken: the solver's peak is reached."""
    with Watch(cluster, fast, "rolling-fast") as watch:
        async with load(install.line(cluster)) as calls:
            for _ in range(2):
                await calls.hold(fast.solution.fleet.jobs)
                watch.calls(calls.talking)
                await roll(cluster, fast, watch)
            watch.calls(calls.talking)
            await end(cluster, fast, calls, watch)
    within_budget(watch)
    assert watch.trace.peak == fast.solution.fleet.workers_at_peak


async def test_rolling_strict(cluster: Cluster, strict: Stack) -> None:
    """One rollout, calls running: the quota holds what the fleet may be."""
    with Watch(cluster, strict, "rolling-strict") as watch:
        async with load(install.line(cluster)) as calls:
            await calls.hold(strict.solution.fleet.jobs)
            watch.calls(calls.talking)
            await roll(cluster, strict, watch)
            watch.calls(calls.talking)
            await end(cluster, strict, calls, watch)
    within_budget(watch)
    assert watch.trace.peak == strict.solution.fleet.workers_at_peak


async def roll(cluster: Cluster, stack: Stack, watch: Watch) -> None:
    """A new generation; returns when all of it is ready. The old one drains on."""
    began = time.monotonic()
    watch.mark("rollout")
    changed = stack.with_fleet(podAnnotations={"rolled": str(time.time_ns())})
    await asyncio.to_thread(install.release, cluster, changed, FLEET)
    await asyncio.to_thread(installed.rolled_out, cluster, f"deployment/{FLEET}")
    watch.say(f"rolled in {time.monotonic() - began:.0f} s")


async def end(cluster: Cluster, stack: Stack, calls: Load, watch: Watch) -> None:
    """Everybody hangs up; the drained pods go."""
    results = await calls.end()
    watch.calls(0)
    watch.ended(results)
    assert dropped(results) == []

    async def settled() -> bool:
        return len(await asyncio.to_thread(pods.workers, cluster)) == stack.solution.fleet.max_replicas

    await eventually(settled, within=300, what="drained pods are gone", every=2)
