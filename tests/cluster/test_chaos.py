"""What dies, dies hard: the gap is bounded, and new calls are answered again."""

from __future__ import annotations

import asyncio

import pytest

from infra.kind import install
from infra.kind.cluster import Cluster
from infra.kind.install import FLEET, NAMESPACE, Stack
from tests.cluster.load import dropped, load
from tests.cluster.test_rolling import within_budget
from tests.cluster.watching import Watch

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]


@pytest.mark.parametrize("what", ["worker", "mongodb-0", "redis-0"])
async def test_chaos_delete_now(cluster: Cluster, fast: Stack, what: str) -> None:
    """A pod is deleted without grace (SIGKILL) with a call running; afterwards the whole promise holds again."""
    with Watch(cluster, fast, f"chaos-{what}") as watch:
        async with load(install.line(cluster)) as calls:
            await calls.hold(2)
            watch.calls(calls.talking)
            pod = what if what.endswith("-0") else _a_worker(cluster)
            watch.mark("delete", pod=pod)
            await asyncio.to_thread(
                cluster.kubectl, "-n", NAMESPACE, "delete", "pod", pod, "--grace-period=0", "--force"
            )
            await calls.end()
        for server in ("statefulset/mongodb", "statefulset/redis", f"deployment/{FLEET}"):
            await asyncio.to_thread(install.rolled_out, cluster, server)
        async with load(install.line(cluster)) as calls:
            await calls.hold(fast.solution.fleet.jobs)
            watch.calls(calls.talking)
            results = await calls.end()
        watch.calls(0)
    assert dropped(results) == []
    within_budget(watch)


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


def _a_worker(cluster: Cluster) -> str:
    pods = cluster.get("pods", "--namespace", NAMESPACE, "--selector", "app.kubernetes.io/component=worker")
    return str(pods["items"][0]["metadata"]["name"])


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
