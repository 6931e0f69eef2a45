"""The kind cluster: one control plane and two workers, its credentials in the per-user cache, never in ~/.kube."""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.kind.errors import KindError
from infra.supply.binaries import binary
from infra.supply.cached import one_at_a_time
from infra.supply.choice import Supply
from infra.supply.engine import Engine
from infra.supply.places import cache_directory
from infra.supply.shell import CommandFailed, run

NAME = os.environ.get("KIND_CLUSTER", "agent-datastores")
WORKERS = 2
DASHBOARDS_NODE_PORT = 30890  # metrics-store.yaml
# What the API server's address and the dashboards' are bound to on this machine; the ports are chosen by the system.
CONFIG = (
    f"""\
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
networking: {{apiServerAddress: 127.0.0.1}}
nodes:
  - role: control-plane
    extraPortMappings:
      - {{containerPort: {DASHBOARDS_NODE_PORT}, hostPort: 0, listenAddress: 127.0.0.1}}
"""
    + WORKERS * "  - role: worker\n"
)
CREATE_SECONDS = 600
READY_SECONDS = 300


@dataclass(frozen=True)
class Cluster:
    """A cluster that is there."""

    engine: Engine

    @property
    def kubeconfig(self) -> Path:
        return cache_directory() / "kind" / f"{NAME}.kubeconfig"

    @property
    def control_plane(self) -> str:
        return f"{NAME}-control-plane"

    @property
    def workers(self) -> list[str]:
        return [f"{NAME}-worker{'' if number == 1 else number}" for number in range(1, WORKERS + 1)]

    def kubectl(self, *arguments: str, stdin: str | None = None, within: float = 120) -> str:
        """The node's own kubectl, which has the cluster's version."""
        return self.engine.docker(
            *self.kubectl_command(*arguments)[1:], stdin=stdin.encode() if stdin else None, within=within
        )

    def kubectl_command(self, *arguments: str) -> list[str]:
        """The same as a command line, for what is followed while it runs."""
        inside = ["exec", "--interactive", self.control_plane, "kubectl"]
        return ["docker", *inside, "--kubeconfig=/etc/kubernetes/admin.conf", *arguments]

    def get(self, *arguments: str) -> dict[str, Any]:
        """An object or a list of the API, as JSON."""
        found: dict[str, Any] = json.loads(self.kubectl("get", "--output=json", *arguments))
        return found

    def secret(self, namespace: str, name: str) -> dict[str, str]:
        """A Secret's texts; empty where there is none."""
        found = self.get("secrets", "--namespace", namespace, f"--field-selector=metadata.name={name}")
        data: dict[str, str] = found["items"][0].get("data", {}) if found["items"] else {}
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def apply(self, objects: Sequence[dict[str, Any]]) -> None:
        """Make or change these; through standard input, so that a Secret stands in no argument."""
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", stdin=json.dumps(listed))

    def helm(self, *arguments: str | Path, within: float = 600) -> str:
        environment = self.engine.environment | {"KUBECONFIG": str(self.kubeconfig)}
        return run([binary("helm"), *arguments], env=environment, within=within)

    def load(self, images: Sequence[str]) -> None:
        """Bring images of the engine to the nodes; those that are there are left alone."""
        self.kind("load", "docker-image", "--name", NAME, *images)

    def kind(self, *arguments: str | Path, within: float = CREATE_SECONDS) -> str:
        return run([binary("kind"), *arguments], env=self.engine.environment, within=within)

    def address(self, node: str) -> str:
        """The node container's own address, on the bridge that kind made."""
        form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        return self.engine.docker("inspect", "--format", form, node).strip()


def exists(engine: Engine) -> bool:
    return NAME in _clusters(engine)


def up(engine: Engine, supply: Supply) -> Cluster:
    """The cluster, made where there is none, started where its nodes are stopped, with every node ready.

    Raises KindError when it does not come up; what was half made is removed.
    """
    cluster = Cluster(engine)
    with one_at_a_time("cluster"):  # a second run meets a whole cluster, not half of one
        if exists(engine):
            start_stopped_nodes(cluster)
            cluster.kind("export", "kubeconfig", "--name", NAME, "--kubeconfig", cluster.kubeconfig)
        else:
            _create(cluster, supply)
    try:
        cluster.kubectl(
            "wait",
            "--for=condition=Ready",
            "nodes",
            "--all",
            f"--timeout={READY_SECONDS}s",
            within=READY_SECONDS,
        )
        if supply.network_plugin_cpu:
            limit = f"--limits=cpu={supply.network_plugin_cpu}"
            cluster.kubectl("-n", "kube-system", "set", "resources", "daemonset/kindnet", limit)
        for kind, name in (("deployment", "coredns"), ("daemonset", "kindnet"), ("daemonset", "kube-proxy")):
            cluster.kubectl(
                "-n", "kube-system", "rollout", "status", f"{kind}/{name}", f"--timeout={READY_SECONDS}s",
                within=READY_SECONDS,
            )  # fmt: skip
    except CommandFailed as error:
        raise KindError(
            f"{error}\n  a look inside: docker exec {cluster.control_plane} journalctl --unit kubelet --lines 50"
        ) from error
    return cluster


def down(engine: Engine) -> list[str]:
    """Delete the cluster, and its network with the last one; returns those that are left.

    Nothing happens where there is none.
    """
    cluster = Cluster(engine)
    cluster.kind("delete", "cluster", "--name", NAME, "--kubeconfig", cluster.kubeconfig)
    cluster.kubeconfig.unlink(missing_ok=True)
    others = _clusters(engine)
    if not others:
        with contextlib.suppress(CommandFailed):  # there is none, or containers of somebody else's are on it
            engine.docker("network", "rm", "kind")
    return others


def _clusters(engine: Engine) -> list[str]:
    # Where there is none, kind says so on its other output.
    return run([binary("kind"), "get", "clusters"], env=engine.environment).split()


def _create(cluster: Cluster, supply: Supply) -> None:
    image = supply.node_image(cluster.engine)
    print("  cluster: creating", flush=True)
    arguments: list[str | Path] = [
        "--name",
        NAME,
        "--kubeconfig",
        cluster.kubeconfig,
        *(["--image", image] if image else []),
        "--config",
        "/dev/stdin",
    ]
    run(
        [binary("kind"), "create", "cluster", *arguments, "--wait", "180s"],
        env=cluster.engine.environment,
        stdin=CONFIG.encode(),
        within=CREATE_SECONDS,
    )


def start_stopped_nodes(cluster: Cluster) -> None:
    """What a machine's restart does to its nodes."""
    for node in (cluster.control_plane, *cluster.workers):
        state = cluster.engine.docker("inspect", "--format", "{{.State.Running}}", node).strip()
        if state != "true":
            cluster.engine.docker("start", node)
