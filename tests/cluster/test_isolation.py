"""Who reaches whom (enforced by kube-network-policies), and what the namespace's label refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.kind.cluster import Cluster
from infra.kind.installed import FLEET, NAMESPACE
from infra.supply.shell import CommandFailed
from tests.cluster import pods
from tests.cluster.install import Stack

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600, func_only=True)]

DATASTORES = ["mongodb:27017", "redis:6379"]
API_SERVER = "kubernetes.default:443"
# Names are resolved outside the try: a lookup that fails would look like a closed port.
LOOK = """
import json, socket
open_ones = []
for target in given["targets"]:
    host, port = target.rsplit(":", 1)
    address = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)[0][4]
    try:
        socket.create_connection(address, 5).close()
        open_ones.append(target)
    except OSError:
        pass
print(json.dumps(open_ones))
"""


def test_isolation(cluster: Cluster, fast: Stack) -> None:
    """A worker reaches the datastores, but no worker nor the API server; a stranger only the latter."""
    here, there = pods.ready(cluster)[:2]
    targets = [*DATASTORES, API_SERVER, f"{there['status']['podIP']}:8081"]
    assert json.loads(pods.ask_in(cluster, here["metadata"]["name"], LOOK, targets=targets)) == DATASTORES
    script = f"given = {{'targets': {targets!r}}}\n{LOOK}"
    assert json.loads(_run(cluster, _pod(fast, script))) == [API_SERVER]


@pytest.mark.extended
def test_pod_security(cluster: Cluster, fast: Stack) -> None:
    """A pod on its node's own network is refused by the API server, whoever asks: the namespace is `restricted`."""
    pod = _pod(fast, "")
    pod["spec"]["hostNetwork"] = True
    with pytest.raises(CommandFailed, match="violates PodSecurity"):
        cluster.apply([pod])


def _run(cluster: Cluster, pod: dict[str, Any]) -> str:
    """What it prints."""
    cluster.apply([pod])
    try:
        cluster.kubectl(
            "-n", NAMESPACE, "wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/stranger", "--timeout=120s",
            within=150,
        )  # fmt: skip
        return cluster.kubectl("-n", NAMESPACE, "logs", "stranger")
    finally:
        cluster.kubectl("-n", NAMESPACE, "delete", "pod", "stranger", "--grace-period=0", "--force")


def _pod(stack: Stack, script: str) -> dict[str, Any]:
    """A pod called stranger, of the workers' image but none of them, and whom `restricted` lets in."""
    image = stack.values()[FLEET]["image"]
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
                    "image": f"{image['repository']}:{image['tag']}",
                    "command": ["python", "-c", script],
                    "securityContext": security,
                }
            ],
        },
    }
