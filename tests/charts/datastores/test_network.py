"""Who reaches a server, and whom it reaches."""

from __future__ import annotations

from typing import Any

import pytest

from tests.charts.datastores.scenarios import ALL, Scenario
from tests.charts.render import Object

WORKERS = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "agent-worker"}}}
SERVERS = [s for s in ALL if s.engine in ("mongodb", "ferretdb", "valkey")]
PORT = {"mongodb": 27017, "redis": 6379}
METRICS = {"mongodb": 9216, "redis": 9121}


def policy(scenario: Scenario, name: str = "") -> Object:
    """The policy of the server's pods, or the one whose name ends so."""
    found = [item for item in scenario.objects() if item["kind"] == "NetworkPolicy"]
    server = scenario.one("StatefulSet")["metadata"]["name"]
    (one,) = (item for item in found if item["metadata"]["name"] == server + name)
    return dict(one["spec"])


def peers(spec: Object, port: int) -> list[Any] | None:
    """Who may reach the port; None for everybody."""
    (rule,) = (rule for rule in spec["ingress"] if rule["ports"] == [{"port": port, "protocol": "TCP"}])
    found: list[Any] | None = rule.get("from")
    return found


@pytest.mark.parametrize("scenario", SERVERS, ids=str)
def test_servers_dial_nobody(scenario: Scenario) -> None:
    spec = policy(scenario)
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in spec  # and policyTypes holds Egress: none is let out


@pytest.mark.parametrize("scenario", SERVERS, ids=str)
def test_the_policy_selects_the_pods_that_the_service_reaches(scenario: Scenario) -> None:
    labels = scenario.one("StatefulSet")["spec"]["template"]["metadata"]["labels"]
    services = [item for item in scenario.objects() if item["kind"] == "Service"]
    selectors = [
        policy(scenario)["podSelector"]["matchLabels"],
        *(item["spec"]["selector"] for item in services),
    ]
    for selector in selectors:
        assert selector.items() <= labels.items()


@pytest.mark.parametrize("scenario", [s for s in SERVERS if s.name != "everything"], ids=str)
def test_by_default_workers_of_the_namespace_get_in_and_nobody_else(scenario: Scenario) -> None:
    assert peers(policy(scenario), PORT[scenario.chart]) == [WORKERS]


@pytest.mark.parametrize("scenario", [s for s in SERVERS if s.name == "everything"], ids=str)
def test_others_get_in_where_they_are_named(scenario: Scenario) -> None:
    wished = scenario.values["networkPolicy"]
    admitted = peers(policy(scenario), PORT[scenario.chart])
    assert admitted is not None
    assert admitted[: len(wished["clients"])] == wished["clients"]
    assert peers(policy(scenario), METRICS[scenario.chart]) == wished["metrics"]


def test_operators_addresses_get_through_to_mongodb() -> None:
    scenario = Scenario("mongodb", "everything")
    admitted = peers(policy(scenario), 27017) or []
    blocks = [peer["ipBlock"]["cidr"] for peer in admitted if "ipBlock" in peer]
    assert blocks == scenario.values["server"]["operatorCIDRs"]


def test_backups_reach_the_server_and_names_and_nothing_else() -> None:
    scenario = Scenario("mongodb", "everything")
    backup = policy(scenario, "-backup")
    labels = scenario.one("CronJob")["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
    assert backup["podSelector"]["matchLabels"].items() <= labels.items()
    assert backup["ingress"] == []
    assert [port["port"] for rule in backup["egress"] for port in rule["ports"]] == [27017, 53, 53]
    # And the server lets them in.
    selectors = [
        peer["podSelector"]["matchLabels"]
        for peer in peers(policy(scenario), 27017) or []
        if "podSelector" in peer
    ]
    assert backup["podSelector"]["matchLabels"] in selectors


def test_a_backup_pod_is_no_server() -> None:
    scenario = Scenario("mongodb", "everything")
    labels = scenario.one("CronJob")["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
    for service in (item for item in scenario.objects() if item["kind"] == "Service"):
        assert not service["spec"]["selector"].items() <= labels.items()


@pytest.mark.parametrize(
    "scenario", [Scenario("livekit", "default"), Scenario("livekit", "everything")], ids=str
)
def test_livekit_is_told_the_port_that_it_advertises(scenario: Scenario) -> None:
    """One address and port for everybody: the node's port is the pod's."""
    service = scenario.one("Service")["spec"]
    assert service["type"] == "NodePort"
    ports = {port["name"]: port for port in service["ports"]}
    for name in ("media-udp", "media-tcp"):
        assert ports[name]["port"] == ports[name]["nodePort"]
    pod = scenario.one("Deployment")["spec"]["template"]["spec"]
    listening = {port["name"]: port["containerPort"] for port in pod["containers"][0]["ports"]}
    assert listening["media-udp"] == ports["media-udp"]["nodePort"]
    assert listening["media-tcp"] == ports["media-tcp"]["nodePort"]


@pytest.mark.parametrize(
    ("node_ip", "source"),
    [
        ("", {"valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}),
        ("pod", {"valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}),
        ("192.0.2.10", {"value": "192.0.2.10"}),
    ],
)
def test_livekit_advertises_the_node_the_pod_or_what_it_was_told(
    node_ip: str, source: dict[str, Any]
) -> None:
    deployment = Scenario("livekit", "default").one("Deployment", rtc={"nodeIp": node_ip})
    variables = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "NODE_IP", **source} in variables


@pytest.mark.parametrize(
    ("chart", "operator", "ports"),
    [
        ("mongodb", {"app.kubernetes.io/name": "percona-server-mongodb-operator"}, [27017]),
        ("redis", {"name": "redis-operator"}, [6379, 26379]),
    ],
)
def test_members_of_operators_are_reached_by_workers_by_each_other_and_by_the_operator(
    chart: str, operator: dict[str, str], ports: list[int]
) -> None:
    spec = Scenario(chart, "operator").one("NetworkPolicy")["spec"]
    servers = spec["ingress"][0]
    assert [port["port"] for port in servers["ports"]] == ports
    assert WORKERS in servers["from"]
    assert {"podSelector": spec["podSelector"]} in servers["from"]
    assert {"namespaceSelector": {}, "podSelector": {"matchLabels": operator}} in servers["from"]


def test_the_redis_operators_pods_are_selected_by_the_labels_it_takes_from_the_resource() -> None:
    scenario = Scenario("redis", "operator")
    selected = scenario.one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"]
    assert selected.items() <= scenario.one("RedisReplication")["metadata"]["labels"].items()
