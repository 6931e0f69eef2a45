"""What values.schema.json refuses: keys nobody knows, and values that would do something else than was meant."""

from __future__ import annotations

import pytest

from tests.charts.datastores.refusals import Refusal, refusal
from tests.charts.datastores.scenarios import Scenario, container

MONGODB, REDIS, LIVEKIT = (Scenario(chart, "default") for chart in ("mongodb", "redis", "livekit"))

# Refused by values.schema.json, which names the key.
MISTAKES = [
    refusal(MONGODB, {"replicas": 3}, "additional properties 'replicas' not allowed"),
    refusal(REDIS, {"server": {"maxClients": 100}}, "additional properties 'maxClients' not allowed"),
    refusal(
        LIVEKIT, {"rtc": {"port_range_start": 50000}}, "additional properties 'port_range_start' not allowed"
    ),
    refusal(MONGODB, {"engine": "mysql"}, "at '/engine'"),
    refusal(MONGODB, {"server": {"maxIncomingConnections": "5000"}}, "at '/server/maxIncomingConnections'"),
    refusal(MONGODB, {"server": {"operatorCIDRs": ["10.0.0.1"]}}, "at '/server/operatorCIDRs/0'"),
    refusal(MONGODB, {"server": {"operatorCIDRs": ["0.0.0.0/0"]}}, "at '/server/operatorCIDRs/0'"),
    refusal(MONGODB, {"image": {"tag": "latest"}}, "at '/image/tag'"),
    refusal(REDIS, {"image": {"digest": "sha256:beef"}}, "at '/image/digest'"),
    refusal(MONGODB, {"runAsUser": 0}, "at '/runAsUser'"),
    refusal(REDIS, {"runAsUser": 0}, "at '/runAsUser'"),
    refusal(LIVEKIT, {"runAsUser": 0}, "at '/runAsUser'"),
    refusal(MONGODB, {"auth": {"database": "admin"}}, "at '/auth/database'"),
    refusal(MONGODB, {"backup": {"schedule": "daily"}}, "at '/backup/schedule'"),
    refusal(MONGODB, {"restore": {"archive": "../../etc/passwd"}}, "at '/restore/archive'"),
    refusal(REDIS, {"persistence": {"mode": "disk"}}, "at '/persistence/mode'"),
    refusal(REDIS, {"server": {"maxMemoryPolicy": "lru"}}, "at '/server/maxMemoryPolicy'"),
    refusal(LIVEKIT, {"rtc": {"nodeIp": "livekit.example.com"}}, "at '/rtc/nodeIp'"),
    # A rule of a NetworkPolicy without peers admits everybody.
    refusal(MONGODB, {"networkPolicy": {"clients": []}}, "at '/networkPolicy/clients'"),
    refusal(REDIS, {"networkPolicy": {"clients": []}}, "at '/networkPolicy/clients'"),
    # So wide that the fleet is in it, above every limit.
    refusal(MONGODB, {"server": {"operatorCIDRs": ["10.0.0.0/0"]}}, "at '/server/operatorCIDRs/0'"),
    refusal(MONGODB, {"server": {"operatorCIDRs": ["128.0.0.0/1"]}}, "at '/server/operatorCIDRs/0'"),
    refusal(MONGODB, {"server": {"operatorCIDRs": ["0::0/0"]}}, "at '/server/operatorCIDRs/0'"),
    # Tags have a key of their own, which knows about latest.
    refusal(MONGODB, {"image": {"repository": "mongo:latest"}}, "at '/image/repository'"),
    refusal(REDIS, {"exporter": {"image": {"repository": "x@sha256:1"}}}, "at '/exporter/image/repository'"),
    refusal(LIVEKIT, {"image": {"repository": "livekit/livekit-server:latest"}}, "at '/image/repository'"),
    refusal(MONGODB, {"operator": {"image": "percona/percona-server-mongodb"}}, "at '/operator/image'"),
    refusal(REDIS, {"operator": {"sentinelImage": "x:latest"}}, "at '/operator/sentinelImage'"),
    # What Services and policies select by, and names that YAML or a Service would not take.
    *(
        refusal(chart, {"extraLabels": {"app.kubernetes.io/name": "x"}}, "at '/extraLabels/app.kubernetes.io")
        for chart in (MONGODB, REDIS, LIVEKIT)
    ),
    *(
        refusal(chart, {"fullnameOverride": "123"}, "at '/fullnameOverride'")
        for chart in (MONGODB, REDIS, LIVEKIT)
    ),
]


@pytest.mark.parametrize("case", MISTAKES)
def test_refused_by_its_place(case: Refusal) -> None:
    case.expect()


def test_names_that_look_like_numbers_stay_names() -> None:
    for scenario in (MONGODB, REDIS):
        values = {"auth": {"existingSecret": "123"}, "priorityClassName": "1e3"}
        pod = scenario.one("StatefulSet", **values)["spec"]["template"]["spec"]
        (passwords,) = (volume["secret"] for volume in pod["volumes"] if volume["name"] == "passwords")
        assert (passwords["secretName"], pod["priorityClassName"]) == ("123", "1e3")
    pod = LIVEKIT.one("Deployment", keys={"existingSecret": "123"})["spec"]["template"]["spec"]
    variables = {one["name"]: one for one in container(pod, "livekit-server")["env"]}
    assert variables["API_KEY"]["valueFrom"]["secretKeyRef"]["name"] == "123"


@pytest.mark.parametrize("chart", ["mongodb", "redis"])
def test_nobody_is_let_in_for_an_operator_that_is_nowhere(chart: str) -> None:
    policy = Scenario(chart, "operator").one("NetworkPolicy", networkPolicy={"operator": []})["spec"]
    assert all(policy["ingress"][0]["from"])
    assert len(policy["ingress"][0]["from"]) >= 2
