"""What contradicts itself or the budget is refused, by a message that names the key and what would do."""

from __future__ import annotations

from typing import Any

import pytest

from infra.handoff.values import seal
from tests.charts.datastores.refusals import Refusal, refusal
from tests.charts.datastores.scenarios import Scenario
from tests.charts.render import Refused, render_chart, solved_values

MONGODB, REDIS, LIVEKIT = (Scenario(chart, "default") for chart in ("mongodb", "redis", "livekit"))
FERRETDB, PERCONA = Scenario("mongodb", "ferretdb"), Scenario("mongodb", "operator")
REPLICATION = Scenario("redis", "operator")
ATLAS, ELASTICACHE = Scenario("mongodb", "external"), Scenario("redis", "external")


CONTRADICTIONS = [
    # A number that is not the budget's.
    refusal(
        MONGODB,
        {"server": {"maxIncomingConnections": 5000}},
        "server.maxIncomingConnections is 5000",
        "solved 86",
    ),
    refusal(MONGODB, {"server": {"cacheMiB": 1024}}, "server.cacheMiB is 1024", "solved 256"),
    refusal(MONGODB, {"server": {"memoryMiB": 100}}, "server.memoryMiB is 100", "solved 598"),
    refusal(REDIS, {"server": {"maxclients": 10000}}, "server.maxclients is 10000", "solved 48"),
    refusal(REDIS, {"server": {"maxMemoryMiB": 64}}, "server.maxMemoryMiB is 64", "solved 128"),
    refusal(REDIS, {"server": {"memoryMiB": 128}}, "server.memoryMiB is 128", "solved 195"),
    refusal(PERCONA, {"server": {"maxIncomingConnections": 100}}, "server.maxIncomingConnections is 100"),
    refusal(REPLICATION, {"server": {"maxclients": 100}}, "server.maxclients is 100"),
    # Who authenticates, and by what.
    refusal(MONGODB, {"auth": {"existingSecret": ""}}, "auth.existingSecret is empty", "app-password"),
    refusal(REDIS, {"auth": {"existingSecret": ""}}, "auth.existingSecret is empty", "app-password"),
    refusal(REPLICATION, {"operator": {"usersSecret": ""}}, "operator.usersSecret is empty", "user.acl"),
    refusal(LIVEKIT, {"keys": {"existingSecret": ""}}, "keys.existingSecret is empty", "LIVEKIT_API_SECRET"),
    # TLS.
    refusal(MONGODB, {"tls": {"enabled": True}}, "tls.existingSecret is empty", "tls.crt"),
    refusal(REDIS, {"tls": {"enabled": True}}, "tls.existingSecret is empty", "tls.crt"),
    refusal(
        MONGODB,
        {"tls": {"certManager": {"issuer": "ca"}}},
        "tls.certManager.issuer is ca",
        "tls.enabled is false",
    ),
    refusal(
        REDIS,
        {"tls": {"certManager": {"issuer": "ca"}}},
        "tls.certManager.issuer is ca",
        "tls.enabled is false",
    ),
    refusal(
        PERCONA,
        {"tls": {"certManager": {"issuer": "ca"}}},
        "tls.certManager.issuer is set with engine operator",
    ),
    refusal(
        REPLICATION,
        {"tls": {"certManager": {"issuer": "ca"}}},
        "tls.certManager.issuer is set with engine operator",
    ),
    # Metrics, backups.
    refusal(
        MONGODB,
        {"exporter": {"podMonitor": True}},
        "exporter.podMonitor is true",
        "exporter.enabled is false",
    ),
    refusal(
        REDIS, {"exporter": {"podMonitor": True}}, "exporter.podMonitor is true", "exporter.enabled is false"
    ),
    refusal(
        MONGODB, {"restore": {"archive": "x.archive.gz"}}, "restore.archive is set, backup.enabled is false"
    ),
    refusal(
        PERCONA, {"restore": {"archive": "x.archive.gz"}}, "restore.archive", "PerconaServerMongoDBRestore"
    ),
    refusal(
        PERCONA, {"operator": {"backup": {"storage": None}}}, "operator.backup.storage is empty", "type: s3"
    ),
    # What a server does not have.
    refusal(FERRETDB, {"exporter": {"enabled": True}}, "exporter.enabled is true with engine ferretdb"),
    refusal(FERRETDB, {"backup": {"enabled": True}}, "backup.enabled is true with engine ferretdb"),
    refusal(FERRETDB, {"tls": {"enabled": True}}, "tls.enabled is true with engine ferretdb"),
    refusal(FERRETDB, {"rateLimiter": {"enabled": True}}, "rateLimiter.enabled is true with engine ferretdb"),
    refusal(FERRETDB, {"auth": {"existingSecret": ""}}, "auth.existingSecret is empty"),
    refusal(
        FERRETDB,
        {"server": {"operatorCIDRs": ["10.0.0.0/8"]}},
        "server.operatorCIDRs is set with engine ferretdb",
    ),
    refusal(
        MONGODB,
        {"rateLimiter": {"enabled": True}, "image": {"tag": "7.0.37"}},
        "rateLimiter.enabled",
        "mongo:7.0.37",
    ),
    # Said to a server that does not hear it.
    refusal(FERRETDB, {"server": {"cacheMiB": 9999}}, "server.cacheMiB is 9999", "solved 256"),
    refusal(FERRETDB, {"exporter": {"podMonitor": True}}, "exporter.podMonitor is true with engine ferretdb"),
    refusal(FERRETDB, {"restore": {"archive": "x"}}, "restore.archive is set with engine ferretdb"),
    refusal(
        REPLICATION, {"exporter": {"podMonitor": True}}, "exporter.podMonitor is true with engine operator"
    ),
    refusal(ATLAS, {"server": {"maxIncomingConnections": 9999}}, "server.maxIncomingConnections is set with"),
    refusal(ATLAS, {"server": {"operatorCIDRs": ["10.0.0.0/8"]}}, "server.operatorCIDRs is set with engine"),
    refusal(ATLAS, {"tls": {"enabled": True}}, "tls.enabled is true with engine external"),
    refusal(ATLAS, {"rateLimiter": {"enabled": True}}, "rateLimiter.enabled is true with engine external"),
    refusal(ELASTICACHE, {"server": {"maxclients": 9999}}, "server.maxclients is set with engine external"),
    refusal(ELASTICACHE, {"tls": {"enabled": True}}, "tls.enabled is true with engine external", "rediss://"),
    # Tags that move within a version.
    *(
        refusal(MONGODB, {"rateLimiter": {"enabled": True}, "image": {"tag": tag}}, f"with mongo:{tag}")
        for tag in ("8.0", "7.0-jammy", "8")
    ),
    refusal(REPLICATION, {"persistence": {"mode": "none"}}, "persistence.mode is none with engine operator"),
    # Engines and the budget.
    refusal(MONGODB, {"engine": "external"}, "engine is external", "mongodb.plan or mongodb.limit"),
    refusal(REDIS, {"engine": "external"}, "engine is external", "redis.plan or redis.limit"),
    refusal(
        Scenario("mongodb", "external"), {"engine": "mongodb"}, "engine is mongodb", "remove mongodb.plan"
    ),
    refusal(Scenario("redis", "external"), {"engine": "valkey"}, "engine is valkey", "remove redis.plan"),
    refusal(PERCONA, {"engine": "mongodb"}, "mongodb.nodes is 3", "engine: operator"),
    refusal(MONGODB, {"engine": "operator"}, "mongodb.nodes is 1", "mongodb.nodes: 3"),
    refusal(
        REPLICATION, {"engine": "valkey", "auth": {"existingSecret": "x"}}, "counts them (redis.sentinels"
    ),
    refusal(
        REPLICATION,
        {"operator": {"nodes": 5}},
        "operator.nodes is 5",
        "redis.consumers.replicas",
        "pays for 3",
    ),
    refusal(
        Scenario("mongodb", "external"),
        {"exporter": {"enabled": True}},
        "exporter.enabled is true with engine ext",
    ),
    refusal(
        Scenario("mongodb", "external"),
        {"backup": {"enabled": True}},
        "backup.enabled is true with engine ext",
    ),
    refusal(
        Scenario("redis", "external"),
        {"exporter": {"enabled": True}},
        "exporter.enabled is true with engine ext",
    ),
    # LiveKit's ports.
    refusal(LIVEKIT, {"rtc": {"udpPort": 7882}}, "rtc.udpPort is 7882", "30000 to 32767"),
    refusal(LIVEKIT, {"rtc": {"tcpPort": 7881}}, "rtc.tcpPort is 7881", "30000 to 32767"),
    refusal(LIVEKIT, {"signal": {"nodePort": 80}}, "signal.nodePort is 80", "30000 to 32767"),
    refusal(LIVEKIT, {"rtc": {"tcpPort": 30880}}, "rtc.tcpPort and signal.nodePort are both 30880"),
    refusal(
        LIVEKIT,
        {"service": {"type": "ClusterIP"}, "rtc": {"tcpPort": 7880}},
        "rtc.tcpPort and signal.port are both 7880",
    ),
    refusal(LIVEKIT, {"metrics": {"enabled": True}, "signal": {"port": 6789}}, "signal.port is 6789"),
    refusal(LIVEKIT, {"hostNetwork": True}, "service.type is NodePort and hostNetwork is true"),
]


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_refused_by_name(case: Refusal) -> None:
    case.expect()


def without(scenario: Scenario, consumer: str) -> dict[str, Any]:
    """The scenario's stack as if nobody had thought of this consumer."""
    stack = scenario.config
    consumers = {name: one for name, one in stack[scenario.chart]["consumers"].items() if name != consumer}
    return {**stack, scenario.chart: {**stack[scenario.chart], "consumers": consumers}}


CONSUMERS = [
    (MONGODB, "probes"),
    (FERRETDB, "probes"),
    (REDIS, "probes"),
    (Scenario("mongodb", "everything"), "exporter"),
    (Scenario("mongodb", "everything"), "backup"),
    (Scenario("redis", "everything"), "exporter"),
    (PERCONA, "operator"),
    (PERCONA, "exporter"),
    (PERCONA, "backup"),
    (REPLICATION, "replicas"),
    (REPLICATION, "operator"),
    (REPLICATION, "exporter"),
]


@pytest.mark.parametrize(("scenario", "consumer"), CONSUMERS, ids=str)
def test_a_consumer_that_the_budget_does_not_pay_for_is_refused_with_the_row_to_add(
    scenario: Scenario, consumer: str
) -> None:
    with pytest.raises(Refused) as refused:
        render_chart(scenario.chart, scenario.values, stack=without(scenario, consumer))
    assert f"{scenario.chart}.consumers.{consumer} in the budget pays for 0" in str(refused.value)
    assert f"add `{consumer}: {{processes: 1, connections: " in str(refused.value)


def test_sentinels_that_the_operator_would_not_limit_so_are_refused() -> None:
    stack = {**REPLICATION.config, "redis": {**REPLICATION.config["redis"], "sentinel_limit": 500}}
    with pytest.raises(Refused, match=r"Sentinels of 500 clients \(redis.sentinel_limit in the stack file\)"):
        render_chart("redis", REPLICATION.values, stack=stack)


@pytest.mark.parametrize("scenario", [MONGODB, FERRETDB, PERCONA, REDIS, REPLICATION], ids=str)
def test_without_a_budget_nothing_is_rendered(scenario: Scenario) -> None:
    with pytest.raises(Refused, match=r"budget is missing: .*make budget"):
        scenario.render(budget={"datastores": {scenario.chart: None}})


@pytest.mark.parametrize("scenario", [MONGODB, REDIS], ids=str)
def test_figures_edited_by_hand_are_refused(scenario: Scenario) -> None:
    figure = {"mongodb": "max_incoming_connections", "redis": "maxclients"}[scenario.chart]
    edited = {"datastores": {scenario.chart: {"server": {figure: 9999}}}}
    with pytest.raises(Refused, match="its seal does not match"):
        scenario.render(budget=edited)


@pytest.mark.parametrize(
    "scenario", [Scenario("mongodb", "external"), Scenario("redis", "external")], ids=str
)
def test_a_budget_that_does_not_fit_is_refused_even_if_it_was_solved(scenario: Scenario) -> None:
    stack = {"fleet": scenario.config["fleet"], scenario.chart: {"limit": 50}}
    block = solved_values(scenario.chart, stack)["budget"]
    assert block["seal"] == seal({key: value for key, value in block.items() if key != "seal"})
    with pytest.raises(Refused, match=rf"the budget does not fit \({scenario.chart}: "):
        render_chart(scenario.chart, scenario.values, stack=stack)
