"""The stack in the cluster, whoever installs it: what it is called, what the cluster asks of its charts, its way in."""

from __future__ import annotations

from typing import Any

from infra.kind.cluster import NAME, Cluster
from infra.kind.errors import KindError
from infra.local.conversation import Line
from infra.stack.components.charts import merged
from infra.supply.images import Images
from infra.supply.places import ROOT
from infra.supply.shell import CommandFailed

STACK = ROOT / "infra" / "Pulumi.kind.yaml"
NAMESPACE = "agents"
AGENT_NAME = "assistant"
SIGNAL_PORT, SIGNAL_NODE_PORT, MEDIA_TCP, MEDIA_UDP = 7880, 30880, 30881, 30882
# A busy machine of two cores, with everything starting at once; a worker waits for its datastores and retries.
READY_SECONDS = 600
ON_THE_FIRST_NODE = {"kubernetes.io/hostname": f"{NAME}-worker"}
FIRST = ("livekit", "mongodb", "redis")
FLEET = "agent-worker"


def server_values(images: Images) -> dict[str, dict[str, Any]]:
    """What this cluster needs of each server's chart, whoever installs it: images as built here, and a place.

    The volumes are on a node's own disk: all servers are on one node, so that the other may be drained or lost.
    """
    return merged({chart: {"nodeSelector": ON_THE_FIRST_NODE} for chart in FIRST}, images.values)


def rolled_out(cluster: Cluster, what: str, *, within: float = READY_SECONDS) -> None:
    """Wait for it. Raises KindError with the pods' states and last events when it takes too long."""
    try:
        cluster.kubectl(
            "-n", NAMESPACE, "rollout", "status", what, f"--timeout={within:g}s", within=within + 30
        )
    except CommandFailed as error:
        pods = cluster.kubectl("-n", NAMESPACE, "get", "pods", "-o", "wide")
        events = cluster.kubectl("-n", NAMESPACE, "get", "events", "--sort-by=.lastTimestamp").splitlines()
        raise KindError(
            "\n  ".join([f"{what} is not ready: {error}", *pods.splitlines(), *events[-12:]])
        ) from error


def line(cluster: Cluster, keys: str) -> Line:
    """Where callers on this machine place calls: the address of the node that runs livekit-server.

    `keys`: the Secret that holds LiveKit's.
    """
    pod = "app.kubernetes.io/name=livekit"
    pods = cluster.get("pods", "--namespace", NAMESPACE, "--selector", pod)["items"]
    running = [one for one in pods if "deletionTimestamp" not in one["metadata"]]
    if not running:
        raise KindError("no pod of livekit-server: run `make kind-up`")
    texts = cluster.secret(NAMESPACE, keys)
    url = f"ws://{cluster.address(running[0]['spec']['nodeName'])}:{SIGNAL_NODE_PORT}"
    return Line(url, texts["LIVEKIT_API_KEY"], texts["LIVEKIT_API_SECRET"], AGENT_NAME)
