"""With TLS there is no door without; certificates come from a Secret, or from cert-manager into that Secret."""

from __future__ import annotations

import pytest
from ruamel.yaml import YAML

from tests.charts.datastores.scenarios import Scenario, container
from tests.charts.render import Object

MONGODB, REDIS = Scenario("mongodb", "everything"), Scenario("redis", "everything")


def test_mongod_takes_nothing_but_tls() -> None:
    data = MONGODB.one("ConfigMap")["data"]
    tls = YAML(typ="safe").load(data["mongod.conf"])["net"]["tls"]
    assert tls["mode"] == "requireTLS"
    assert f"> {tls['certificateKeyFile']})" in data["start.sh"]
    assert (
        "tls"
        not in YAML(typ="safe").load(Scenario("mongodb", "default").one("ConfigMap")["data"]["mongod.conf"])[
            "net"
        ]
    )


def test_valkey_takes_nothing_but_tls() -> None:
    lines = REDIS.one("ConfigMap")["data"]["valkey.conf"].splitlines()
    assert {"port 0", "tls-port 6379"} <= set(lines)
    assert "port 6379" in Scenario("redis", "default").one("ConfigMap")["data"]["valkey.conf"].splitlines()


@pytest.mark.parametrize("scenario", [MONGODB, REDIS], ids=str)
def test_the_certificate_is_for_the_name_that_clients_dial_and_lands_where_it_is_read(
    scenario: Scenario,
) -> None:
    certificate, service = scenario.one("Certificate"), services(scenario)[0]
    host = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc"
    assert host in certificate["spec"]["dnsNames"]
    assert certificate["spec"]["issuerRef"] == {
        "name": "internal",
        "kind": "ClusterIssuer",
        "group": "cert-manager.io",
    }
    pod = scenario.one("StatefulSet")["spec"]["template"]["spec"]
    (volume,) = (volume for volume in pod["volumes"] if volume["name"] == "tls")
    assert volume["secret"]["secretName"] == certificate["spec"]["secretName"]


def services(scenario: Scenario) -> list[Object]:
    """Those that clients dial: the headless ones are for pods' names only."""
    found = [item for item in scenario.objects() if item["kind"] == "Service"]
    return [item for item in found if item["spec"].get("clusterIP") != "None"]


def test_exporters_check_the_certificate() -> None:
    for scenario, expected in (
        (MONGODB, {"MONGODB_URI": "tls=true&tlsCAFile=/etc/mongodb/tls/ca.crt"}),
        (
            REDIS,
            {
                "REDIS_ADDR": "rediss://localhost:6379",
                "REDIS_EXPORTER_TLS_CA_CERT_FILE": "/etc/valkey/tls/ca.crt",
                "REDIS_EXPORTER_TLS_SERVER_NAME": "cache.agents.svc",
            },
        ),
    ):
        pod = scenario.one("StatefulSet")["spec"]["template"]["spec"]
        variables = {v["name"]: v.get("value", "") for v in container(pod, "exporter")["env"]}
        for name, value in expected.items():
            assert value in variables[name]


def test_the_mongodb_exporter_reaches_its_own_member_by_the_certificates_name() -> None:
    pod = MONGODB.one("StatefulSet")["spec"]["template"]["spec"]
    assert pod["hostAliases"] == [{"ip": "127.0.0.1", "hostnames": ["documents.agents.svc"]}]
    uri = next(v["value"] for v in container(pod, "exporter")["env"] if v["name"] == "MONGODB_URI")
    assert uri.startswith("mongodb://documents.agents.svc:27017/")


def test_operators_resources_ask_for_tls_with_the_same_secret() -> None:
    percona = Scenario("mongodb", "operator").one("PerconaServerMongoDB")["spec"]
    assert percona["tls"] == {"mode": "requireTLS"}
    assert percona["secrets"]["ssl"] == percona["secrets"]["sslInternal"] == "mongodb-tls"
    redis = Scenario("redis", "operator").one("RedisReplication")["spec"]
    assert redis["TLS"]["secret"] == {"secretName": "redis-tls"}
