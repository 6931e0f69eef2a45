"""The stack in the cluster: the charts, with the values that the budget wrote and the few that this cluster needs.

Everything is one namespace, whose label has the API server refuse what is not `restricted`.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from infra.budget import solve
from infra.budget.solution import Solution
from infra.config import apply_overrides, load_config
from infra.handoff.values import helm_values
from infra.kind import secrets
from infra.kind.cluster import NAME, Cluster
from infra.local.conversation import Line
from infra.supply import images as built
from infra.supply.go_toolchain import ROOT
from infra.supply.shell import KindError

CHARTS = ROOT / "charts"
STACK = ROOT / "infra" / "Pulumi.kind.yaml"
NAMESPACE = "agents"
AGENT_NAME = "assistant"
SIGNAL_PORT, SIGNAL_NODE_PORT, MEDIA_TCP, MEDIA_UDP = 7880, 30880, 30881, 30882
# A busy machine of two cores, with everything starting at once; a worker waits for its datastores and retries.
READY_SECONDS = 600
ON_THE_FIRST_NODE = {"kubernetes.io/hostname": f"{NAME}-worker"}
FIRST = ("livekit", "mongodb", "redis")
FLEET = "agent-worker"


@dataclass(frozen=True)
class Stack:
    """What is installed: a solved budget, and images by repository."""

    solution: Solution
    images: dict[str, str]
    offline: bool
    fleet: dict[str, Any] | None = None
    """Further values of the fleet's chart, for one scenario."""

    def values(self) -> dict[str, dict[str, Any]]:
        """Of each chart, by its name."""
        budgets = helm_values(self.solution, ())  # no dashboards are installed here
        servers = server_values(self.images, offline=self.offline)
        named = {
            "livekit": {"keys": {"existingSecret": secrets.LIVEKIT_KEYS}},
            "mongodb": {"auth": {"existingSecret": secrets.MONGODB_USERS}, "persistence": {"size": "1Gi"}},
            "redis": {"auth": {"existingSecret": secrets.REDIS_USERS}},
            FLEET: self._fleet(),
        }
        return {
            chart: {**budgets.get(chart, {}), **servers.get(chart, {}), **own} for chart, own in named.items()
        }

    def with_fleet(self, **values: Any) -> Stack:
        """The same with other values of the fleet's chart."""
        return replace(self, fleet={**(self.fleet or {}), **values})

    def _fleet(self) -> dict[str, Any]:
        variables = ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "MONGODB_URL", "REDIS_URL")
        return {
            "image": {"repository": built.AGENT, "tag": self.images[built.AGENT]},
            "agentName": AGENT_NAME,
            "secrets": {name: {"existingSecret": secrets.WORKER} for name in variables},
            "networkPolicy": {
                "livekit": {"tcpPorts": [SIGNAL_PORT, MEDIA_TCP], "udpPorts": [MEDIA_UDP, MEDIA_UDP]}
            },
            **(self.fleet or {}),
        }


def server_values(tags: dict[str, str], *, offline: bool) -> dict[str, dict[str, Any]]:
    """What this cluster needs of each server's chart, whoever installs it: images as built here, and a place.

    The volumes are on a node's own disk: all servers are on one node, so that the other may be drained or lost.
    """
    values: dict[str, dict[str, Any]] = {chart: {"nodeSelector": ON_THE_FIRST_NODE} for chart in FIRST}
    for chart, repository in (("livekit", built.LIVEKIT), ("redis", built.VALKEY)):
        if repository in tags:
            values[chart]["image"] = {"tag": tags[repository]}
    if offline:
        values["mongodb"] |= {"engine": "ferretdb", "ferretdb": {"image": {"tag": tags[built.FERRETDB]}}}
    return values


def stack(images: built.Images, *, offline: bool, changes: Mapping[str, object]) -> Stack:
    """What the stack file asks for, with some dotted keys changed. Raises KindError when it does not fit."""
    solution = solve(apply_overrides(load_config(STACK), changes))
    if not solution.fits:
        raise KindError(f"{STACK} with {changes}: does not fit")
    return Stack(solution, images.tags, offline)


def install(cluster: Cluster, wanted: Stack) -> None:
    """Install or change everything, and wait until it is ready. A second run with the same stack changes nothing."""
    cluster.apply([_namespace()])
    secrets.ensure(cluster, NAMESPACE, livekit_url=f"ws://livekit:{SIGNAL_PORT}")
    for chart in FIRST:
        release(cluster, wanted, chart)
    for kind, name in (("deployment", "livekit"), ("statefulset", "mongodb"), ("statefulset", "redis")):
        rolled_out(cluster, f"{kind}/{name}")
    release(cluster, wanted, FLEET)
    rolled_out(cluster, f"deployment/{FLEET}")


def release(cluster: Cluster, wanted: Stack, chart: str) -> None:
    """One chart, as the stack wants it."""
    upgrade(cluster, CHARTS / chart, wanted.values()[chart])


def upgrade(cluster: Cluster, chart: Path, values: dict[str, Any]) -> None:
    """`helm upgrade --install`; the release has the chart's name."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "values.yaml"
        with file.open("w", encoding="utf-8") as text:
            YAML().dump(values, text)
        where = ("--namespace", NAMESPACE, "--values", file, "--history-max=5")
        cluster.helm("upgrade", "--install", chart.name, chart, *where, within=READY_SECONDS)


def rolled_out(cluster: Cluster, what: str, *, within: float = READY_SECONDS) -> None:
    """Wait for it. Raises KindError with the pods' states and last events when it takes too long."""
    try:
        cluster.kubectl(
            "-n", NAMESPACE, "rollout", "status", what, f"--timeout={within:g}s", within=within + 30
        )
    except KindError as error:
        pods = cluster.kubectl("-n", NAMESPACE, "get", "pods", "-o", "wide")
        events = cluster.kubectl("-n", NAMESPACE, "get", "events", "--sort-by=.lastTimestamp").splitlines()
        raise KindError(
            "\n  ".join([f"{what} is not ready: {error}", *pods.splitlines(), *events[-12:]])
        ) from error


def line(cluster: Cluster, keys: str = secrets.LIVEKIT_KEYS) -> Line:
    """Where callers on this machine place calls: the address of the node that runs livekit-server.

    `keys`: the Secret that holds LiveKit's.
    """
    pod = "app.kubernetes.io/name=livekit"
    pods = cluster.get("pods", "--namespace", NAMESPACE, "--selector", pod)["items"]
    running = [one for one in pods if "deletionTimestamp" not in one["metadata"]]
    if not running:
        raise KindError("no pod of livekit-server: run `make kind-up`")
    texts = secrets.read(cluster, NAMESPACE, keys)
    url = f"ws://{cluster.address(running[0]['spec']['nodeName'])}:{SIGNAL_NODE_PORT}"
    return Line(url, texts["LIVEKIT_API_KEY"], texts["LIVEKIT_API_SECRET"], AGENT_NAME)


def fingerprint(cluster: Cluster) -> str:
    """Versions of every object that the charts made: equal before and after a run that changed nothing."""
    kinds = (
        "deployments,statefulsets,configmaps,services,networkpolicies,secrets,resourcequotas,"
        "poddisruptionbudgets,jobs"
    )
    items = cluster.get(kinds, "--namespace", NAMESPACE)["items"]
    seen = {
        f"{one['kind']}/{one['metadata']['name']}": _version(one)
        for one in items
        if not one["metadata"]["name"].startswith("sh.helm.release")
    }
    return json.dumps(seen, sort_keys=True, indent=1)


def _version(item: dict[str, Any]) -> str:
    # A StatefulSet's generation grows with each helm upgrade, for the API server completes its volumeClaimTemplates.
    if item["kind"] == "StatefulSet":
        return str(item["status"]["updateRevision"])
    return str(item["metadata"].get("generation", item["metadata"]["uid"]))


def _namespace() -> dict[str, Any]:
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
