"""The metrics store of a kind cluster fits what charts/monitoring makes of the kind stack."""

from __future__ import annotations

from typing import Any

import pytest

from infra.config import load_config
from infra.kind import dashboards
from infra.kind.cluster import CONFIG, DASHBOARDS_NODE_PORT
from infra.supply.offline.server_images import METRICS
from tests.charts.render import STACKS, render_chart

BUILT = {f"victoriametrics/{program}": "built-here" for program in METRICS}


@pytest.fixture(scope="module")
def store() -> dict[str, dict[str, Any]]:
    """Its objects by kind: one of each."""
    return {one["kind"]: one for one in dashboards.objects(BUILT)}


def test_it_mounts_the_rules_and_targets_of_the_kind_stack(store: dict[str, dict[str, Any]]) -> None:
    deployment = load_config(STACKS / "Pulumi.kind.yaml").deployment
    assert deployment is not None
    assert deployment.monitoring
    values = {**deployment.values["monitoring"], "fullnameOverride": "monitoring"}
    (made,) = render_chart("monitoring", values, stack="kind")
    volumes = store["Deployment"]["spec"]["template"]["spec"]["volumes"]
    mounted = {one["configMap"]["name"] for one in volumes if "configMap" in one}
    assert mounted == {made["metadata"]["name"], store["ConfigMap"]["metadata"]["name"]}
    containers = store["Deployment"]["spec"]["template"]["spec"]["containers"]
    files = {
        arg.rpartition("/")[2]
        for one in containers
        for arg in one["args"]
        if arg.partition("=")[2].startswith("/etc/monitoring/")
    }
    assert files == set(made["data"])


def test_it_runs_what_was_built_here_and_else_what_the_manifest_names() -> None:
    def images(tags: dict[str, str]) -> set[str]:
        (deployment,) = (one for one in dashboards.objects(tags) if one["kind"] == "Deployment")
        return {one["image"] for one in deployment["spec"]["template"]["spec"]["containers"]}

    assert images(BUILT) == {f"victoriametrics/{program}:built-here" for program in METRICS}
    assert images({}) == {f"victoriametrics/{program}:v1.148.0" for program in METRICS}


def test_its_port_is_the_one_that_the_cluster_publishes_on_loopback(
    store: dict[str, dict[str, Any]],
) -> None:
    assert [port["nodePort"] for port in store["Service"]["spec"]["ports"]] == [DASHBOARDS_NODE_PORT]
    assert f"{{containerPort: {DASHBOARDS_NODE_PORT}, hostPort: 0, listenAddress: 127.0.0.1}}" in CONFIG


def test_it_opens_connections_first(store: dict[str, dict[str, Any]]) -> None:
    pages = store["ConfigMap"]["data"]
    assert [name.partition("-")[2] for name in sorted(pages)] == [
        "agent-connections.json",
        "agent-jobs.json",
        "agent-capacity.json",
    ]
