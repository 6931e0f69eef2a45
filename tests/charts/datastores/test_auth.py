"""Users by least privilege, made from files of a Secret."""

from __future__ import annotations

import re

import pytest

from tests.charts.datastores.scenarios import ALL, Scenario, container
from tests.charts.render import Object

MINIMAL, EVERYTHING = Scenario("mongodb", "default"), Scenario("mongodb", "everything")


def mongodb_users(scenario: Scenario) -> dict[str, str]:
    """User → role, as users.js makes them."""
    script = scenario.one("ConfigMap")["data"]["users.js"]
    assert "mechanisms: ['SCRAM-SHA-256']" in script
    return dict(re.findall(r"^make\('(\w+)', \[\{role: '(\w+)', db: '\w+'\}\]\);$", script, re.MULTILINE))


def test_mongodb_users_have_one_role_each_and_only_those_exist_that_are_used() -> None:
    assert mongodb_users(MINIMAL) == {"app": "readWrite", "operator": "root"}
    assert mongodb_users(EVERYTHING) == {
        "app": "readWrite",
        "operator": "root",
        "exporter": "clusterMonitor",
        "backup": "backup",
    }


def test_the_fleet_may_write_one_database_only() -> None:
    script = EVERYTHING.one("ConfigMap")["data"]["users.js"]
    assert "make('app', [{role: 'readWrite', db: 'calls'}]);" in script


@pytest.mark.parametrize("scenario", [MINIMAL, EVERYTHING], ids=str)
def test_only_passwords_of_users_that_exist_reach_mongod(scenario: Scenario) -> None:
    volumes = scenario.one("StatefulSet")["spec"]["template"]["spec"]["volumes"]
    (passwords,) = (volume["secret"] for volume in volumes if volume["name"] == "passwords")
    assert [item["key"] for item in passwords["items"]] == [
        f"{user}-password" for user in mongodb_users(scenario)
    ]


def test_a_backup_pod_sees_one_password() -> None:
    jobs = {item["kind"]: item["spec"] for item in EVERYTHING.objects() if item["kind"] in ("Job", "CronJob")}
    for kind, spec, user in (
        ("CronJob", jobs["CronJob"]["jobTemplate"]["spec"], "backup"),
        ("Job", jobs["Job"], "operator"),
    ):
        pod = spec["template"]["spec"]
        (passwords,) = (volume["secret"] for volume in pod["volumes"] if volume["name"] == "passwords")
        assert passwords["items"] == [{"key": f"{user}-password", "path": "password"}], kind
        assert f"mongodb://{user}@documents.agents.svc:27017/" in container(pod, "tools")["args"][0], kind


def test_mongod_asks_everybody_who_they_are() -> None:
    for scenario in (MINIMAL, EVERYTHING):
        text = scenario.one("ConfigMap")["data"]["mongod.conf"]
        assert "authorization: enabled" in text
        assert "authenticationMechanisms: SCRAM-SHA-256" in text


def test_perconas_operator_makes_the_same_users() -> None:
    spec = Scenario("mongodb", "operator").one("PerconaServerMongoDB")["spec"]
    roles = {user["name"]: [role["name"] for role in user["roles"]] for user in spec["users"]}
    assert roles == {"app": ["readWrite"], "operator": ["root"], "exporter": ["clusterMonitor"]}
    assert {user["passwordSecretRef"]["name"] for user in spec["users"]} == {"mongodb-users"}


def test_the_redis_operator_takes_its_users_from_a_secret() -> None:
    spec = Scenario("redis", "operator").one("RedisReplication")["spec"]
    assert spec["acl"]["secret"]["secretName"] == "redis-users"
    assert spec["kubernetesConfig"]["redisSecret"] == {"name": "redis-users", "key": "password"}


def test_ferretdb_gets_its_users_password_from_the_secret() -> None:
    pod: Object = Scenario("mongodb", "ferretdb").one("StatefulSet")["spec"]["template"]["spec"]
    variables = {variable["name"]: variable for variable in container(pod, "ferretdb")["env"]}
    assert variables["MONGODB_PASSWORD"]["valueFrom"]["secretKeyRef"] == {
        "name": "mongodb-users",
        "key": "app-password",
    }


@pytest.mark.parametrize("scenario", [s for s in ALL if s.chart == "livekit"], ids=str)
def test_livekits_keys_are_expanded_by_the_kubelet_from_the_secret(scenario: Scenario) -> None:
    pod = scenario.one("Deployment")["spec"]["template"]["spec"]
    variables = {variable["name"]: variable for variable in container(pod, "livekit-server")["env"]}
    assert variables["LIVEKIT_KEYS"]["value"] == "$(API_KEY): $(API_SECRET)"
    for name in ("API_KEY", "API_SECRET"):
        assert (
            variables[name]["valueFrom"]["secretKeyRef"]["name"] == scenario.values["keys"]["existingSecret"]
        )
