"""What dies, dies hard: who talked to it loses their call, nobody else does, and afterwards the whole promise holds."""

from __future__ import annotations

import asyncio

import psutil
import pytest

from infra.kind.cluster import Cluster
from infra.kind.installed import NAMESPACE
from infra.local.eventually import eventually
from tests.cluster import install, pods
from tests.cluster.inside import processes_of
from tests.cluster.install import Stack
from tests.cluster.load import dropped, load
from tests.cluster.test_first_install import transcripts
from tests.cluster.test_rolling import end
from tests.cluster.watching import Watch, within_budget

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200, func_only=True)]


@pytest.mark.parametrize(
    "what",
    [
        "job",
        "worker",
        pytest.param("mongodb-0", marks=pytest.mark.extended),
        pytest.param("redis-0", marks=pytest.mark.extended),
    ],
)
async def test_chaos(cluster: Cluster, fast: Stack, what: str) -> None:
    """SIGKILL of a call's process, of a worker, of a datastore, with every slot taken."""
    fleet = fast.solution.fleet
    lost = {"job": 1, "worker": fleet.slots}.get(what, 0)
    stored = transcripts(cluster)
    with Watch(cluster, fast, f"chaos-{what}") as watch:
        async with load(install.line(cluster)) as calls:
            await calls.hold(fleet.jobs)
            watch.calls(calls.talking)
            watch.mark("kill", what=what)
            await asyncio.to_thread(_kill, cluster, what)
            await eventually(
                lambda: calls.talking == fleet.jobs - lost, within=90, every=0.5, what="its callers notice"
            )
            watch.calls(calls.talking)
            results = await calls.end()
            watch.calls(0)
            watch.ended(results)
            assert len(dropped(results)) == lost
        async with load(install.line(cluster)) as calls:
            await calls.hold(fleet.jobs)
            watch.calls(calls.talking)
            await end(cluster, fast, calls, watch)
    within_budget(watch)
    await eventually(
        lambda: transcripts(cluster) == stored + len(watch.results) - lost,
        within=60,
        every=3,
        what="the transcript of every call that was not lost",
    )


def _kill(cluster: Cluster, what: str) -> None:
    """Returns when what was killed is there again: the kubelet restarts a container in its pod."""
    if what == "job":
        pods.kill_a_job(cluster)
        return
    name = pods.ready(cluster)[0]["metadata"]["name"] if what == "worker" else what
    before = pods.named(cluster, name)
    _first_process(
        before["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
    ).kill()
    restarted = f"jsonpath={{.status.containerStatuses[0].restartCount}}={pods.restarts(before) + 1}"
    for awaited in (restarted, "condition=Ready"):
        cluster.kubectl(
            "-n", NAMESPACE, "wait", f"pod/{name}", f"--for={awaited}", "--timeout=120s", within=150
        )


def _first_process(container: str) -> psutil.Process:
    """Of a container, as this machine sees it: the others end with it."""
    return min(processes_of([container]), key=lambda process: (process.info["create_time"], process.pid))
