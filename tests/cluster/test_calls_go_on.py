"""What the runtime does for a call whose job died, and with workers that no longer reach LiveKit."""

from __future__ import annotations

import asyncio
import time

import pytest

from agent.runtime.dispatch import place_call
from infra.kind import installed
from infra.kind.cluster import Cluster
from infra.kind.installed import FLEET, NAMESPACE
from infra.local.conversation import Conversation
from infra.local.eventually import eventually
from tests.cluster import install, pods
from tests.cluster.install import Stack
from tests.cluster.test_nodes import drain, ready_on, spread, whole_again
from tests.cluster.watching import Watch, within_budget

pytestmark = [pytest.mark.cluster, pytest.mark.extended, pytest.mark.timeout(1500, func_only=True)]

# LiveKit's own worker gives up after 16 attempts, 131 s.
LIVEKIT_GONE_SECONDS = 150
SILENCE_SECONDS = 90


async def test_taken_over(cluster: Cluster, fast: Stack) -> None:
    """The job of a call dies, its caller stays: the watcher has another one go on with what was said."""
    watched = fast.with_fleet(watcher={"enabled": True})
    await asyncio.to_thread(install.release, cluster, watched, FLEET)
    await asyncio.to_thread(installed.rolled_out, cluster, f"deployment/{FLEET}-watcher")
    line, loop = install.line(cluster), asyncio.get_running_loop()
    with Watch(cluster, watched, "taken-over") as watch:
        async with line.api() as livekit:
            room = f"cut-{time.time_ns():x}"
            await place_call(livekit, agent_name=line.agent_name, room=room, metadata="caller")
            async with Conversation(line, room, "caller") as call:
                await call.hear()
                await call.say("My number is 4711.")
                await call.hear()
                watch.calls(1)
                agents = call.agents
                watch.mark("kill", what="job")
                await asyncio.to_thread(pods.kill_a_job, cluster)
                began = loop.time()
                await eventually(
                    lambda: bool(call.agents - agents),
                    within=SILENCE_SECONDS,
                    every=0.2,
                    what="another agent joins",
                )
                await call.hear()
                watch.say(f"{loop.time() - began:.0f} s of silence")
                await call.say("What was my number?")
                await call.hear()
                watch.calls(0)
    within_budget(watch)


async def test_livekit_lost(cluster: Cluster, fast: Stack) -> None:
    """LiveKit is gone for longer than its own worker is patient, and a node is drained meanwhile: the drain goes on, no
    worker is restarted, and with LiveKit there again every slot takes calls."""
    node, loop = cluster.workers[1], asyncio.get_running_loop()
    await spread(cluster, fast)
    restarts = {pod["metadata"]["name"]: pods.restarts(pod) for pod in pods.workers(cluster)}
    with Watch(cluster, fast, "livekit-lost") as watch:
        began = loop.time()
        watch.mark("kill", what="livekit")
        try:
            await asyncio.to_thread(_scale_livekit, cluster, 0)
            await eventually(lambda: not pods.ready(cluster), within=60, every=1, what="no worker is ready")
            watch.mark("drain", node=node)
            await asyncio.to_thread(drain, cluster, node)
            assert ready_on(cluster, node) == 0
            await eventually(
                lambda: loop.time() - began > LIVEKIT_GONE_SECONDS,
                within=LIVEKIT_GONE_SECONDS + 10,
                every=1,
                what="LiveKit's own worker would have given up",
            )
            still_there = [pod for pod in pods.workers(cluster) if pod["metadata"]["name"] in restarts]
            assert still_there, "the worker on the other node"
            assert all(pods.restarts(pod) == restarts[pod["metadata"]["name"]] for pod in still_there)
        finally:
            await asyncio.to_thread(_scale_livekit, cluster, 1)
            await asyncio.to_thread(cluster.kubectl, "uncordon", node)
        await asyncio.to_thread(installed.rolled_out, cluster, "deployment/livekit")
        watch.mark("healed")
        await whole_again(cluster, fast, watch)
    within_budget(watch)


def _scale_livekit(cluster: Cluster, replicas: int) -> None:
    cluster.kubectl("-n", NAMESPACE, "scale", "deployment/livekit", f"--replicas={replicas}")
