"""As many workers as the budget pays for, and no more; fewer, while calls run.

By hand, on the Deployment's scale subresource, which takes more than any scaler of ours would ask for (test_scaler.py).
"""

from __future__ import annotations

import asyncio

import pytest

from infra.kind import installed
from infra.kind.cluster import Cluster
from infra.kind.installed import FLEET, NAMESPACE
from infra.local.caller import Outcome
from infra.local.eventually import eventually
from tests.cluster import install, pods
from tests.cluster.install import Stack
from tests.cluster.load import load
from tests.cluster.test_rolling import end
from tests.cluster.watching import Watch, within_budget

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200, func_only=True)]


async def test_scaling(cluster: Cluster, fast: Stack) -> None:
    fleet = fast.solution.fleet
    with Watch(cluster, fast, "scaling") as watch:
        await scale(cluster, watch, 1)
        async with load(install.line(cluster)) as calls, load(install.line(cluster)) as more:
            await calls.hold(fleet.slots)
            watch.calls(calls.talking)

            await scale(cluster, watch, fleet.max_replicas)
            await calls.hold(fleet.jobs - fleet.slots)
            watch.calls(calls.talking)
            # Every slot taken: the next caller hears that nobody is free, and no running call is disturbed.
            await more.hold(1)
            assert [one.outcome for one in await more.end()] == [Outcome.BUSY]
            assert calls.talking == fleet.jobs

            # Past what the budget pays for, the quota refuses the pod, whoever asked for it.
            await scale(cluster, watch, fleet.workers_at_peak + 1, ready=fleet.workers_at_peak)
            await eventually(
                lambda: refused(cluster), within=60, every=2, what="a pod that the quota refused"
            )

            # Down with calls running: who has to go drains, and its calls go on.
            await scale(cluster, watch, 1)
            assert calls.talking == fleet.jobs
            watch.calls(calls.talking)
            await scale(cluster, watch, fleet.max_replicas, ready=1)
            await end(cluster, fast, calls, watch)
        await asyncio.to_thread(installed.rolled_out, cluster, f"deployment/{FLEET}")
    assert watch.trace.peak == fleet.workers_at_peak
    within_budget(watch)


async def scale(cluster: Cluster, watch: Watch, replicas: int, *, ready: int | None = None) -> None:
    """Ask for so many; returns when as many as may be are ready, and who is to go has been told."""
    watch.mark("scale", replicas=replicas)
    await asyncio.to_thread(
        cluster.kubectl, "-n", NAMESPACE, "scale", f"deployment/{FLEET}", f"--replicas={replicas}"
    )

    async def there() -> bool:
        return len(await asyncio.to_thread(pods.ready, cluster)) == (ready or replicas)

    await eventually(there, within=180, every=1, what=f"{ready or replicas} workers ready")


def refused(cluster: Cluster) -> bool:
    events = cluster.get("events", "--namespace", NAMESPACE, "--field-selector=reason=FailedCreate")["items"]
    return any("exceeded quota" in one["message"] for one in events)
