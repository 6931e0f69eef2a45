"""What dies, dies hard: who talked to it loses their call, nobody else does, and afterwards the whole promise holds."""

from __future__ import annotations

import asyncio

import pytest

from infra.kind import install
from infra.kind.cluster import Cluster
from infra.kind.install import FLEET, NAMESPACE, Stack
from infra.local.eventually import eventually
from tests.cluster import pods
from tests.cluster.load import dropped, load
from tests.cluster.test_rolling import end
from tests.cluster.watching import Watch, within_budget

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200, func_only=True)]

# Ends the process of one call: of those that LiveKit's fork server made, the first that is connected to MongoDB.
KILL_A_JOB = """
import os, signal, psutil
jobs = [process for process in psutil.process_iter() if "forkserver" in " ".join(process.cmdline())
        and any(one.raddr and one.raddr.port == 27017 for one in process.net_connections("tcp"))]
os.kill(jobs[0].pid, signal.SIGKILL)
"""


@pytest.mark.parametrize("what", ["job", "worker", "mongodb-0", "redis-0"])
async def test_chaos(cluster: Cluster, fast: Stack, what: str) -> None:
    """SIGKILL of a call's process, of a worker's pod, of a datastore's, with every slot taken."""
    fleet = fast.solution.fleet
    lost = {"job": 1, "worker": fleet.slots}.get(what, 0)
    with Watch(cluster, fast, f"chaos-{what}") as watch:
        async with load(install.line(cluster)) as calls:
            await calls.hold(fleet.jobs)
            watch.calls(calls.talking)
            watch.mark("delete", pod=what)
            await asyncio.to_thread(_kill, cluster, what)
            await eventually(
                lambda: calls.talking <= fleet.jobs - lost, within=90, every=0.5, what="its callers notice"
            )
            for server in ("statefulset/mongodb", "statefulset/redis", f"deployment/{FLEET}"):
                await asyncio.to_thread(install.rolled_out, cluster, server)
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


def _kill(cluster: Cluster, what: str) -> None:
    if what == "job":
        pods.ask(cluster, KILL_A_JOB)
        return
    pod = pods.ready(cluster)[0]["metadata"]["name"] if what == "worker" else what
    cluster.kubectl("-n", NAMESPACE, "delete", "pod", pod, "--grace-period=0", "--force")


async def test_isolation(cluster: Cluster, fast: Stack) -> None:
    """A stranger in the namespace reaches neither database; a worker does (enforced by kube-network-policies)."""
    assert fast.solution.fits
    image = f"{fast._fleet()['image']['repository']}:{fast._fleet()['image']['tag']}"
    look = (
        "import socket\nfor host, port in (('mongodb', 27017), ('redis', 6379)):\n"
        " try: socket.create_connection((host, port), 5); print(host, 'open')\n"
        " except OSError: print(host, 'closed')\n"
    )
    worker = cluster.kubectl("-n", NAMESPACE, "exec", f"deployment/{FLEET}", "--", "python", "-c", look)
    assert worker.split() == ["mongodb", "open", "redis", "open"]
    cluster.apply([_stranger(image, look)])
    try:
        cluster.kubectl(
            "-n", NAMESPACE, "wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/stranger", "--timeout=120s",
            within=150,
        )  # fmt: skip
        told = cluster.kubectl("-n", NAMESPACE, "logs", "stranger")
    finally:
        cluster.kubectl("-n", NAMESPACE, "delete", "pod", "stranger", "--grace-period=0", "--force")
    assert told.split() == ["mongodb", "closed", "redis", "closed"]


def _stranger(image: str, script: str) -> dict[str, object]:
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "stranger", "namespace": NAMESPACE},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "stranger",
                    "image": image,
                    "command": ["python", "-c", script],
                    "securityContext": security,
                }
            ],
        },
    }
