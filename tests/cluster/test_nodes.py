"""A node is drained, loses its power, or a worker on it its network. Databases and livekit-server are on the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from infra.kind import cluster as clusters
from infra.kind import installed
from infra.kind.cluster import Cluster
from infra.kind.installed import FLEET, NAMESPACE
from infra.local.eventually import eventually
from infra.supply.shell import CommandFailed
from tests.cluster import install, pods
from tests.cluster.counting import PORTS, Counting
from tests.cluster.install import Stack
from tests.cluster.load import Load, dropped, load
from tests.cluster.test_rolling import end
from tests.cluster.watching import Watch, within_budget

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500, func_only=True)]

# Until a server has given up a peer that answers nothing: the charts' keepalive, and TCP's own patience with what it
# has sent; LiveKit notices a lost agent sooner.
SILENCE_SECONDS = 400
HEALED_SECONDS = 240


async def test_drain(cluster: Cluster, fast: Stack) -> None:
    """`kubectl drain` under load: its workers' calls go on, their successors are ready meanwhile on the other node."""
    node, fleet = cluster.workers[1], fast.solution.fleet
    with Watch(cluster, fast, "drain") as watch:
        async with load(install.line(cluster)) as calls:
            await calls.hold(fleet.jobs)
            watch.calls(calls.talking)
            watch.mark("drain", node=node)
            draining = asyncio.create_task(asyncio.to_thread(drain, cluster, node))
            try:
                await eventually(
                    lambda: ready_on(cluster, node) == 0 and len(pods.ready(cluster)) == fleet.max_replicas,
                    within=240,
                    every=2,
                    what="every worker ready on the other node",
                )
                assert calls.talking == fleet.jobs
                assert not draining.done(), "the drain waits for the calls"
                await end(cluster, fast, calls, watch)
                await draining
            finally:
                await calls.end()  # else a drain that failed would be waited for until its own deadline
                with suppress(CommandFailed):
                    await draining
                await asyncio.to_thread(cluster.kubectl, "uncordon", node)
    within_budget(watch)


@pytest.mark.extended
async def test_node_lost(cluster: Cluster, fast: Stack) -> None:
    """A node loses its power: its workers' calls are lost, the others go on, and the servers let go of the dead."""
    node = cluster.workers[1]
    await spread(cluster, fast)
    with Watch(cluster, fast, "node-lost") as watch:
        async with load(install.line(cluster)) as calls:
            dead = await _occupied(cluster, fast, calls, watch)
            watch.mark("node-lost", node=node)
            await asyncio.to_thread(cluster.engine.docker, "kill", node)
            try:
                await _let_go(cluster, watch, dead)
                await _only_its_calls_are_lost(fast, calls, watch)
            finally:
                await asyncio.to_thread(clusters.start_stopped_nodes, cluster)
            watch.mark("healed")
        await whole_again(cluster, fast, watch)
    within_budget(watch)


@pytest.mark.extended
async def test_partition(cluster: Cluster, fast: Stack) -> None:
    """A worker reaches nobody any more: its calls are lost, the others go on, and the servers let go of it."""
    node = cluster.workers[1]
    await spread(cluster, fast)
    with Watch(cluster, fast, "partition") as watch:
        async with load(install.line(cluster)) as calls:
            cut_off = await _occupied(cluster, fast, calls, watch)
            watch.mark("partition", pod=cut_off["metadata"]["name"])
            await asyncio.to_thread(_forward, cluster, node, cut_off, "--insert")
            try:
                await _let_go(cluster, watch, cut_off)
                await _only_its_calls_are_lost(fast, calls, watch)
                assert _still_counted(cluster, cut_off), "the quota holds its place: it may come back"
            finally:
                await asyncio.to_thread(_forward, cluster, node, cut_off, "--delete")
            watch.mark("healed")
        await whole_again(cluster, fast, watch)
    within_budget(watch)


async def spread(cluster: Cluster, stack: Stack) -> None:
    """A new generation: it spreads over the nodes, wherever an earlier scenario left the one before."""
    changed = stack.with_fleet(podAnnotations={"spread": str(time.time_ns())})
    await asyncio.to_thread(install.release, cluster, changed, FLEET)
    await asyncio.to_thread(installed.rolled_out, cluster, f"deployment/{FLEET}")
    await eventually(
        lambda: len(pods.workers(cluster)) == 2, within=60, every=1, what="the one before is gone"
    )


async def _occupied(cluster: Cluster, stack: Stack, calls: Load, watch: Watch) -> dict[str, Any]:
    """Every slot taken; returns the one worker that is on the second node."""
    await calls.hold(stack.solution.fleet.jobs)
    watch.calls(calls.talking)
    there = [pod for pod in pods.ready(cluster) if pod["spec"]["nodeName"] == cluster.workers[1]]
    assert len(there) == 1, "the chart spreads the workers over the nodes"
    assert all(Counting(cluster).connections(there[0]["status"]["podIP"]).values()), "it has calls"
    return there[0]


async def _let_go(cluster: Cluster, watch: Watch, pod: dict[str, Any]) -> None:
    """Wait until no server has a connection of this pod, and say how long it took."""
    counting, address = Counting(cluster), pod["status"]["podIP"]
    loop = asyncio.get_running_loop()
    began = loop.time()
    for name in PORTS:
        await eventually(
            _none(counting, name, address),
            within=SILENCE_SECONDS,
            every=1,
            what=f"{name} let go of {address}",
        )
        watch.say(f"{name} kept the connections of who had vanished for {loop.time() - began:.0f} s")


def _still_counted(cluster: Cluster, pod: dict[str, Any]) -> bool:
    """A worker that exists, and one of those in the quota."""
    names = [one["metadata"]["name"] for one in pods.workers(cluster)]
    used = cluster.get("-n", NAMESPACE, f"resourcequota/{FLEET}")["status"]["used"]["pods"]
    return pod["metadata"]["name"] in names and int(used) == len(names)


def _none(counting: Counting, name: str, address: str) -> Callable[[], bool]:
    return lambda: counting.connections(address)[name] == 0


async def _only_its_calls_are_lost(stack: Stack, calls: Load, watch: Watch) -> None:
    fleet = stack.solution.fleet
    await eventually(lambda: calls.talking == fleet.jobs - fleet.slots, within=60, what="its callers notice")
    watch.calls(calls.talking)
    results = await calls.end()
    watch.calls(0)
    watch.ended(results)
    assert len(dropped(results)) == fleet.slots


async def whole_again(cluster: Cluster, stack: Stack, watch: Watch) -> None:
    """The whole promise holds. A worker that was cut off asks LiveKit for work again after pauses that had grown."""
    loop, jobs = asyncio.get_running_loop(), stack.solution.fleet.jobs
    began = loop.time()
    await asyncio.to_thread(installed.rolled_out, cluster, f"deployment/{FLEET}")
    while True:
        async with load(install.line(cluster)) as calls:
            await calls.hold(jobs)
            watch.calls(calls.talking)
            if calls.talking == jobs:
                watch.say(f"every slot in use again after {loop.time() - began:.0f} s")
                return await end(cluster, stack, calls, watch)
        assert loop.time() - began < HEALED_SECONDS, f"{calls.talking} of {jobs} calls answered"


def ready_on(cluster: Cluster, node: str) -> int:
    return sum(pod["spec"]["nodeName"] == node for pod in pods.ready(cluster))


def drain(cluster: Cluster, node: str) -> None:
    cluster.kubectl(
        "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={SILENCE_SECONDS}s",
        within=SILENCE_SECONDS + 30,
    )  # fmt: skip


def _forward(cluster: Cluster, node: str, pod: dict[str, Any], how: str) -> None:
    """Have the node drop, or no longer drop, what it forwards from and to a pod."""
    for side in ("--source", "--destination"):
        rule = ("iptables", "--wait", how, "FORWARD", side, pod["status"]["podIP"], "--jump", "DROP")
        cluster.engine.docker("exec", node, *rule)
