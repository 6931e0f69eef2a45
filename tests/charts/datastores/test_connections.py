"""Every number in what is rendered is the budget's; probes and exporters take what the budget pays for."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from ruamel.yaml import YAML

from infra.budget.solution import MongoDBServer, RedisServer
from tests.charts.datastores.scenarios import ALL, Scenario, container, containers, pod_specs
from tests.charts.render import Object

MONGODB = [s for s in ALL if s.engine == "mongodb"]
VALKEY = [s for s in ALL if s.engine == "valkey"]
OWN = [s for s in ALL if s.engine in ("mongodb", "ferretdb", "valkey")]
EXPORTING = [s for s in OWN if s.values.get("exporter", {}).get("enabled")]


def figures(scenario: Scenario) -> Any:
    server = scenario.datastore.server
    assert isinstance(server, MongoDBServer | RedisServer)
    return server


def mongod_conf(scenario: Scenario) -> Object:
    return dict(YAML(typ="safe").load(scenario.one("ConfigMap")["data"]["mongod.conf"]))


def redis_conf(text: str) -> dict[str, str]:
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return dict(line.split(maxsplit=1) for line in lines)


def server_pod(scenario: Scenario) -> Object:
    return dict(scenario.one("StatefulSet")["spec"]["template"]["spec"])


@pytest.mark.parametrize("scenario", MONGODB, ids=str)
def test_mongod_gets_its_limit_and_its_cache(scenario: Scenario) -> None:
    conf = mongod_conf(scenario)
    assert conf["net"]["maxIncomingConnections"] == figures(scenario).max_incoming_connections
    cache = conf["storage"]["wiredTiger"]["engineConfig"]["cacheSizeGB"]
    assert cache * 1024 == figures(scenario).cache_mib


@pytest.mark.parametrize("scenario", VALKEY, ids=str)
def test_valkey_gets_its_limit_and_its_memory(scenario: Scenario) -> None:
    conf = redis_conf(scenario.one("ConfigMap")["data"]["valkey.conf"])
    assert int(conf["maxclients"]) == figures(scenario).maxclients
    assert conf["maxmemory"] == f"{figures(scenario).max_memory_mib}mb"


@pytest.mark.parametrize("scenario", OWN, ids=str)
def test_the_containers_memory_is_the_budgets(scenario: Scenario) -> None:
    server = server_pod(scenario)["containers"][0]
    saves = scenario.values.get("persistence", {}).get("mode", "none") != "none"
    expected = (
        figures(scenario).memory_saving_mib
        if saves and scenario.chart == "redis"
        else figures(scenario).memory_mib
    )
    assert server["resources"]["limits"]["memory"] == f"{expected}Mi"
    assert server["resources"]["requests"]["memory"] == f"{expected}Mi"


@pytest.mark.parametrize("scenario", [*MONGODB, *VALKEY], ids=str)
def test_start_asks_for_the_budgets_descriptors(scenario: Scenario) -> None:
    script = scenario.one("ConfigMap")["data"]["start.sh"]
    assert f"wanted={figures(scenario).file_descriptors}\n" in script


def test_perconas_operator_gets_the_same_numbers() -> None:
    scenario = Scenario("mongodb", "operator")
    spec = scenario.one("PerconaServerMongoDB")["spec"]
    (members,) = spec["replsets"]
    assert members["size"] == scenario.datastore.nodes
    assert members["resources"]["limits"]["memory"] == f"{figures(scenario).memory_mib}Mi"
    conf = YAML(typ="safe").load(members["configuration"])
    assert conf["net"]["maxIncomingConnections"] == figures(scenario).max_incoming_connections
    cache = conf["storage"]["wiredTiger"]["engineConfig"]["configString"]
    assert cache == f"cache_size={figures(scenario).cache_mib}M"
    assert spec["sharding"] == {"enabled": False}


def test_the_redis_operator_gets_the_same_numbers_and_sentinels_as_the_budget_counts_them() -> None:
    scenario = Scenario("redis", "operator")
    spec = scenario.one("RedisReplication")["spec"]
    assert (
        spec["kubernetesConfig"]["resources"]["limits"]["memory"]
        == f"{figures(scenario).memory_saving_mib}Mi"
    )
    assert spec["sentinel"]["size"] == scenario.solution.datastores["redis_sentinel"].nodes
    settings = scenario.one("ConfigMap")
    assert spec["redisConfig"]["additionalRedisConfig"] == settings["metadata"]["name"]
    conf = redis_conf(settings["data"]["redis-additional.conf"])
    assert int(conf["maxclients"]) == figures(scenario).maxclients
    assert conf["maxmemory"] == f"{figures(scenario).max_memory_mib}mb"


@pytest.mark.parametrize("scenario", OWN, ids=str)
def test_probes_of_servers_are_one_tcp_connection_at_a_time_and_nobody_is_killed_for_being_busy(
    scenario: Scenario,
) -> None:
    server = server_pod(scenario)["containers"][0]
    assert "livenessProbe" not in server
    for probe in ("startupProbe", "readinessProbe"):
        assert set(server[probe]) - {"periodSeconds", "failureThreshold"} == {"tcpSocket"}


@pytest.mark.parametrize("scenario", [s for s in ALL if s.engine != "external"], ids=str)
def test_no_probe_runs_a_command(scenario: Scenario) -> None:
    for _name, pod in pod_specs(scenario.objects()):
        for one in containers(pod):
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                assert "exec" not in one.get(probe, {}), one["name"]


@pytest.mark.parametrize("scenario", EXPORTING, ids=str)
def test_probes_of_exporters_do_not_scrape(scenario: Scenario) -> None:
    exporter = container(server_pod(scenario), "exporter")
    for probe in ("readinessProbe", "livenessProbe"):
        assert exporter[probe]["httpGet"]["path"] != "/metrics"


@pytest.mark.parametrize(
    "scenario",
    [s for s in ALL if s.chart == "mongodb" and s.values.get("exporter", {}).get("enabled")],
    ids=str,
)
def test_the_mongodb_exporter_stays_within_its_three_connections(scenario: Scenario) -> None:
    if scenario.engine == "operator":
        (exporter,) = scenario.one("PerconaServerMongoDB")["spec"]["replsets"][0]["sidecars"]
    else:
        exporter = container(server_pod(scenario), "exporter")
    assert {"--collector.diagnosticdata", "--mongodb.global-conn-pool"} <= set(exporter["args"])
    uri = next(variable["value"] for variable in exporter["env"] if variable["name"] == "MONGODB_URI")
    query = parse_qs(urlsplit(uri).query)
    assert query["maxPoolSize"] == ["2"]
    assert query["serverMonitoringMode"] == ["poll"]
    assert query["directConnection"] == ["true"]
    row = next(row for row in scenario.datastore.rows if row.name == "exporter")
    assert row.connections == int(query["maxPoolSize"][0]) + 1


def test_operators_get_in_when_the_limit_is_reached_and_do_not_queue() -> None:
    scenario = Scenario("mongodb", "everything")
    cidrs = scenario.values["server"]["operatorCIDRs"]
    conf = mongod_conf(scenario)
    assert conf["net"]["maxIncomingConnectionsOverride"] == cidrs
    bypass = conf["setParameter"]["ingressConnectionEstablishmentRateLimiterBypass"]
    assert YAML(typ="safe").load(bypass) == {"ranges": cidrs}


def test_the_rate_limiter_is_what_mongod_calls_it() -> None:
    scenario = Scenario("mongodb", "everything")
    limiter, parameters = scenario.values["rateLimiter"], mongod_conf(scenario)["setParameter"]
    assert parameters["ingressConnectionEstablishmentRateLimiterEnabled"] is True
    assert parameters["ingressConnectionEstablishmentRatePerSec"] == limiter["ratePerSecond"]
    assert parameters["ingressConnectionEstablishmentBurstCapacitySecs"] == limiter["burstSeconds"]
    assert parameters["ingressConnectionEstablishmentMaxQueueDepth"] == limiter["maxQueueDepth"]
    assert "ingressConnection" not in Scenario("mongodb", "default").one("ConfigMap")["data"]["mongod.conf"]


def test_a_dead_networks_connections_are_given_up() -> None:
    sysctls = {
        s["name"]: s["value"]
        for s in server_pod(Scenario("mongodb", "default"))["securityContext"]["sysctls"]
    }
    assert sysctls == {
        "net.ipv4.tcp_keepalive_time": "60",
        "net.ipv4.tcp_keepalive_intvl": "10",
        "net.ipv4.tcp_keepalive_probes": "3",
    }
    conf = redis_conf(Scenario("redis", "default").one("ConfigMap")["data"]["valkey.conf"])
    assert (conf["tcp-keepalive"], conf["timeout"]) == ("30", "0")


@pytest.mark.parametrize("scenario", [s for s in ALL if s.engine not in ("", "external")], ids=str)
def test_what_was_solved_is_on_the_server(scenario: Scenario) -> None:
    """So that whoever looks at the cluster can tell which budget it was sized by."""
    kinds = ("StatefulSet", "PerconaServerMongoDB", "RedisReplication")
    (server,) = (item for item in scenario.objects() if item["kind"] in kinds)
    assert server["metadata"]["annotations"]["agent-datastores/budget"] == scenario.solution.digest


@pytest.mark.parametrize("scenario", [*MONGODB, *VALKEY], ids=str)
def test_another_budget_with_the_same_numbers_restarts_nothing(scenario: Scenario) -> None:
    template = scenario.one("StatefulSet")["spec"]["template"]
    assert scenario.solution.digest not in str(template)
    assert not re.search(r"helm.sh/chart|app.kubernetes.io/version", str(template["metadata"]["labels"]))
