"""The dashboards of a cluster on this machine: a metrics store beside the fleet, its address on 127.0.0.1."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from infra.kind.cluster import DASHBOARDS_NODE_PORT, Cluster
from infra.kind.errors import KindError
from infra.kind.installed import NAMESPACE, rolled_out
from infra.local.servers.metrics_store import DASHBOARDS_PAGE
from infra.monitoring.dashboards.vmui import VMUI_DIRECTORY
from infra.supply.shell import CommandFailed

MANIFEST = Path(__file__).with_name("metrics-store.yaml")
NAME = "metrics-store"
PAGES = "metrics-store-dashboards"


def install(cluster: Cluster, tags: Mapping[str, str]) -> str:
    """Make it, wait until it answers; the address of the dashboards. A second run changes nothing.

    Args:
        tags: of the images that were built here, by repository; others are pulled by the nodes.
    """
    cluster.apply(objects(tags))
    rolled_out(cluster, f"deployment/{NAME}")
    return address(cluster)


def address(cluster: Cluster) -> str:
    """Where this machine's browser opens them. Raises KindError where the cluster has no port for them."""
    try:
        published = cluster.engine.docker("port", cluster.control_plane, f"{DASHBOARDS_NODE_PORT}/tcp")
    except CommandFailed as error:
        raise KindError(
            "this cluster was made without a port for its dashboards: `make kind-down`, then up again"
        ) from error
    return f"http://{published.split()[0]}/vmui/{DASHBOARDS_PAGE}"


def objects(tags: Mapping[str, str]) -> list[dict[str, Any]]:
    """The manifest's, in the stack's namespace, with the pages that the local UI shows, too."""
    made: list[dict[str, Any]] = list(YAML(typ="safe").load_all(MANIFEST))
    for one in made:
        one["metadata"]["namespace"] = NAMESPACE
        for subject in one.get("subjects", ()):
            subject["namespace"] = NAMESPACE
        if one["metadata"]["name"] == PAGES:
            one["data"] = {
                file.name: file.read_text(encoding="utf-8") for file in VMUI_DIRECTORY.glob("*.json")
            }
        if one["kind"] == "Deployment":
            for container in one["spec"]["template"]["spec"]["containers"]:
                repository, _, tag = container["image"].rpartition(":")
                container["image"] = f"{repository}:{tags.get(repository, tag)}"
    return made
