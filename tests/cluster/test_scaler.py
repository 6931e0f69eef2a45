"""A HorizontalPodAutoscaler on the chart's own metric: workers come before callers wait, and go while calls run.

The controller is Kubernetes' own; the metric comes from the workers' pods by the chart's rule and prometheus-adapter.
"""

from __future__ import annotations

import asyncio

import pytest

from infra.kind.cluster import Cluster
from infra.kind.installed import FLEET, NAMESPACE
from infra.local.caller import Outcome
from infra.local.eventually import eventually
from infra.supply.engine import Engine
from infra.supply.images import Images
from tests.cluster import install, pods, stacks
from tests.cluster.install import Stack
from tests.cluster.load import dropped, load
from tests.cluster.metrics_api import metrics_api
from tests.cluster.watching import Watch, within_budget

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200, func_only=True)]
# Five times its own period of 15 s, with a pod's start in it.
ACTS_SECONDS = 120.0
# One worker is wanted for no call, both for two calls, one again for a single call.
ONE_SLOT_FREE = {"fleet.scaling.buffer_jobs": 1, "fleet.rolling.rollouts_per_grace_period": 1}
BY_HPA = {"by": "hpa", "scaleDownStabilizationSeconds": 15, "hpa": {"rule": False}}


@pytest.mark.extended
async def test_scaler(cluster: Cluster, built: tuple[Engine, Images]) -> None:
    docker, made = built
    stack = install.stack(made, changes=stacks.FAST | ONE_SLOT_FREE)
    scaled = stack.with_fleet(scaling=BY_HPA)
    install.install(cluster, scaled)
    with metrics_api(docker, cluster, scaled), Watch(cluster, scaled, "scaler") as watch:
        await follows_the_calls(cluster, scaled, watch)
    within_budget(watch)


async def follows_the_calls(cluster: Cluster, stack: Stack, watch: Watch) -> None:
    fleet = stack.solution.fleet
    await workers_ready(cluster, 1)
    line = install.line(cluster)
    async with load(line) as early, load(line) as late, load(line) as last, load(line) as more:
        # The only worker is full: another one comes before anybody asks for it.
        await early.hold(fleet.slots)
        watch.calls(early.talking)
        await workers_ready(cluster, fleet.max_replicas)

        # Every slot taken: more would be wanted, and the maximum holds.
        await late.hold(fleet.jobs - fleet.slots - 1)
        await last.hold(1)
        watch.calls(fleet.jobs)
        await eventually(
            lambda: condition(cluster, "ScalingLimited") == ("True", "TooManyReplicas"),
            within=ACTS_SECONDS,
            every=2,
            what="the scaler at its maximum",
        )
        await more.hold(1)
        assert [one.outcome for one in await more.end()] == [Outcome.BUSY]
        assert len(pods.workers(cluster)) == fleet.max_replicas

        # One call is left: a worker goes, and the call stays, on whichever of them it is.
        results = [*await early.end(), *await late.end()]
        watch.calls(1)
        await workers_ready(cluster, 1)
        assert last.talking == 1
        results += await last.end()
        watch.calls(0)
        watch.ended(results)
        assert dropped(results) == []
        await eventually(
            lambda: len(pods.workers(cluster)) == 1, within=300, every=2, what="the drained worker is gone"
        )


async def workers_ready(cluster: Cluster, number: int) -> None:
    async def there() -> bool:
        return len(await asyncio.to_thread(pods.ready, cluster)) == number

    await eventually(there, within=ACTS_SECONDS, every=1, what=f"{number} workers ready")


def condition(cluster: Cluster, kind: str) -> tuple[str, str] | None:
    """What the scaler says of itself: status and reason."""
    found = cluster.get("-n", NAMESPACE, f"horizontalpodautoscaler/{FLEET}")["status"].get("conditions", ())
    return next(((one["status"], one["reason"]) for one in found if one["type"] == kind), None)
