"""What outlives a pod, and what outlives the release."""

from __future__ import annotations

from typing import Any

import pytest

from tests.charts.datastores.scenarios import ALL, Scenario

CLAIMING = [
    Scenario("mongodb", "default"),
    Scenario("mongodb", "everything"),
    Scenario("mongodb", "ferretdb"),
    Scenario("redis", "everything"),
]


@pytest.mark.parametrize("scenario", CLAIMING, ids=str)
def test_data_is_on_a_claim_of_the_wished_size(scenario: Scenario) -> None:
    spec = scenario.one("StatefulSet")["spec"]
    (claim,) = spec["volumeClaimTemplates"]
    wished = scenario.values.get("persistence", {})
    assert claim["metadata"]["name"] == "data"
    assert claim["spec"]["resources"]["requests"]["storage"] == wished.get("size", "8Gi")
    assert claim["spec"].get("storageClassName") == wished.get("storageClass")


@pytest.mark.parametrize(
    "scenario", [s for s in ALL if s.engine in ("mongodb", "ferretdb", "valkey")], ids=str
)
def test_uninstalling_takes_no_data(scenario: Scenario) -> None:
    policy = scenario.one("StatefulSet")["spec"]["persistentVolumeClaimRetentionPolicy"]
    assert policy == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    for claim in (item for item in scenario.objects() if item["kind"] == "PersistentVolumeClaim"):
        assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_operators_resources_leave_their_volumes() -> None:
    percona = Scenario("mongodb", "operator").one("PerconaServerMongoDB")
    assert "percona.com/delete-psmdb-pvc" not in percona["metadata"]["finalizers"]
    assert Scenario("redis", "operator").one("RedisReplication")["spec"]["storage"]["keepAfterDelete"] is True


@pytest.mark.parametrize(
    ("mode", "lines"),
    [
        ("none", {'save ""', "appendonly no"}),
        ("rdb", {"save 900 1 300 10 60 10000", "appendonly no"}),
        ("aof", {'save ""', "appendonly yes", "appendfsync everysec"}),
    ],
)
def test_redis_saves_as_it_was_told(mode: str, lines: set[str]) -> None:
    values: dict[str, Any] = {"persistence": {"mode": mode}}
    scenario = Scenario("redis", "default")
    assert lines <= set(scenario.one("ConfigMap", **values)["data"]["valkey.conf"].splitlines())
    claims = scenario.one("StatefulSet", **values)["spec"].get("volumeClaimTemplates", [])
    assert len(claims) == (mode != "none")


def test_backups_go_to_a_volume_of_their_own_or_to_yours() -> None:
    scenario = Scenario("mongodb", "everything")
    claim = scenario.one("PersistentVolumeClaim")
    assert claim["spec"]["resources"]["requests"]["storage"] == "50Gi"
    assert claimed(scenario) == {claim["metadata"]["name"]}
    yours = {"backup": {"volume": {"existingClaim": "nfs"}}}
    assert not [item for item in scenario.render(**yours) if item["kind"] == "PersistentVolumeClaim"]
    assert claimed(scenario, **yours) == {"nfs"}


def claimed(scenario: Scenario, **values: Any) -> set[str]:
    spec = scenario.one("CronJob", **values)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return {v["persistentVolumeClaim"]["claimName"] for v in spec["volumes"] if "persistentVolumeClaim" in v}


def test_one_backup_at_a_time_for_one_is_paid_for() -> None:
    spec = Scenario("mongodb", "everything").one("CronJob")["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] == 600


def test_nothing_is_restored_unless_asked() -> None:
    kinds = {item["kind"] for item in Scenario("mongodb", "default").render(backup={"enabled": True})}
    assert "CronJob" in kinds
    assert "Job" not in kinds


def test_perconas_backups_go_where_they_were_told() -> None:
    backup = Scenario("mongodb", "operator").one("PerconaServerMongoDB")["spec"]["backup"]
    assert backup["storages"]["main"]["s3"]["bucket"] == "backups"
    (task,) = backup["tasks"]
    assert task["storageName"] == "main"
    assert task["retention"] == {"type": "count", "count": 7, "deleteFromStorage": True}
