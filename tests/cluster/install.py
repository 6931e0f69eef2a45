"""The stack by helm, without Pulumi: the charts, with the budget's values and the few that this cluster needs.

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
from infra.kind import installed
from infra.kind.cluster import Cluster
from infra.kind.installed import (
    AGENT_NAME,
    FIRST,
    FLEET,
    MEDIA_TCP,
    MEDIA_UDP,
    NAMESPACE,
    READY_SECONDS,
    SIGNAL_PORT,
    STACK,
    rolled_out,
    server_values,
)
from infra.local.conversation import Line
from infra.supply.images import AGENT, Images
from infra.supply.places import ROOT
from tests.cluster import secrets

CHARTS = ROOT / "charts"


@dataclass(frozen=True)
class Stack:
    """What is installed: a solved budget, and images as they were built."""

    solution: Solution
    images: Images
    fleet: dict[str, Any] | None = None
    """Further values of the fleet's chart, for one scenario."""

    def values(self) -> dict[str, dict[str, Any]]:
        """Of each chart, by its name."""
        budgets = helm_values(self.solution, ())  # no dashboards are installed here
        servers = server_values(self.images)
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
            "image": {"repository": AGENT, "tag": self.images.tags[AGENT]},
            "agentName": AGENT_NAME,
            "secrets": {name: {"existingSecret": secrets.WORKER} for name in variables},
            "networkPolicy": {
                "livekit": {"tcpPorts": [SIGNAL_PORT, MEDIA_TCP], "udpPorts": [MEDIA_UDP, MEDIA_UDP]}
            },
            **(self.fleet or {}),
        }


def stack(images: Images, *, changes: Mapping[str, object]) -> Stack:
    """What the stack file asks for, with some dotted keys changed."""
    solution = solve(apply_overrides(load_config(STACK), changes))
    assert solution.fits, f"{STACK} with {changes}: does not fit"
    return Stack(solution, images)


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


def line(cluster: Cluster, keys: str = secrets.LIVEKIT_KEYS) -> Line:
    """Where callers place calls. `keys`: the Secret that holds LiveKit's."""
    return installed.line(cluster, keys)


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
