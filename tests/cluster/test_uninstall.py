"""`helm uninstall` leaves nothing but the volumes, and the Secrets that no chart made."""

from __future__ import annotations

import asyncio

import pytest

from infra.kind.cluster import Cluster
from infra.kind.installed import FIRST, FLEET, NAMESPACE
from infra.local.eventually import eventually
from tests.cluster import install, secrets
from tests.cluster.install import Stack
from tests.cluster.test_first_install import transcripts

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900, func_only=True)]

# What Kubernetes itself keeps in every namespace, and what comes and goes with a pod.
OTHERS = {"ConfigMap/kube-root-ca.crt", "ServiceAccount/default"}
PASSING = ("Event", "EndpointSlice", "Endpoints", "PodMetrics")


@pytest.mark.extended
async def test_uninstall(cluster: Cluster, fast: Stack) -> None:
    before = transcripts(cluster)
    for chart in (FLEET, *FIRST):
        await asyncio.to_thread(cluster.helm, "uninstall", chart, "--namespace", NAMESPACE, "--wait")
    made = {
        secrets.LIVEKIT_KEYS,
        secrets.REDIS_USERS,
        secrets.MONGODB_USERS,
        secrets.WORKER,
        f"{secrets.WORKER}-next",
    }
    ours = OTHERS | {f"Secret/{name}" for name in made}
    await eventually(
        lambda: all(one.startswith("PersistentVolumeClaim/") for one in left(cluster) - ours),
        within=120,
        every=3,
        what="only volumes are left",
    )
    assert {"PersistentVolumeClaim/data-mongodb-0"} <= left(cluster)

    await asyncio.to_thread(install.install, cluster, fast)
    assert transcripts(cluster) == before


def left(cluster: Cluster) -> set[str]:
    """Every object in the namespace, of every kind that there is."""
    listable = ("api-resources", "--namespaced", "--verbs=list", "--output=name")
    kinds = cluster.kubectl(*listable).split()
    items = cluster.get(",".join(kinds), "--namespace", NAMESPACE)["items"]
    return {f"{one['kind']}/{one['metadata']['name']}" for one in items if one["kind"] not in PASSING}
