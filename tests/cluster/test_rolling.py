"""Rolling updates with calls running: none is dropped, no server sees more than the budget, pods keep to the quota."""

from __future__ import annotations

import asyncio
import time

import pytest

from infra.kind import install
from infra.kind.cluster import Cluster
from infra.kind.install import FLEET, NAMESPACE, Stack
from infra.local.eventually import eventually
from tests.cluster.load import Load, dropped, load
from tests.cluster.watching import PORTS, Watch

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]


async def test_rolling_fast(cluster: Cluster, fast: Stack) -> None:
    """Two rollouts within one grace period, every slot of both generations taken: the solver's peak is reached."""
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


async def roll(cluster: Cluster, stack: Stack, watch: Watch) -> None:
    """A new generation; returns when all of it is ready. The old one drains on."""
    watch.mark("rollout")
    changed = stack.with_fleet(podAnnotations={"rolled": str(time.time_ns())})
    await asyncio.to_thread(install.release, cluster, changed, FLEET)
    await asyncio.to_thread(install.rolled_out, cluster, f"deployment/{FLEET}")


async def end(cluster: Cluster, stack: Stack, calls: Load, watch: Watch) -> None:
    """Everybody hangs up; the drained pods go."""
    results = await calls.end()
    watch.calls(0)
    (watch.path.with_suffix(".calls")).write_text("\n".join(str(one) for one in results))
    assert dropped(results) == []
    pods = "app.kubernetes.io/component=worker"

    async def settled() -> bool:
        found = await asyncio.to_thread(cluster.get, "pods", "--namespace", NAMESPACE, "--selector", pods)
        return len(found["items"]) == stack.solution.fleet.max_replicas

    await eventually(settled, within=300, what="drained pods are gone", every=2)


def within_budget(watch: Watch) -> None:
    for name in PORTS:
        assert watch.peak(name) <= watch.budget(name)
    assert watch.trace.peak <= watch.stack.solution.fleet.workers_at_peak
