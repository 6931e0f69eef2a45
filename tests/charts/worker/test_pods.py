"""What pods may do, what they are told, and what rolls them."""

from __future__ import annotations

from typing import Any

import pytest

from agent.runtime.datastores import mongodb_url, redis_url
from tests.charts.render import Object
from tests.charts.worker.rendering import as_it_is, one, pod, render, rendered, worker

POD_SPECS = [
    ("Deployment", "default"),
    ("Job", "default"),
    ("Deployment", "everything"),
    ("Job", "everything"),
]


def spec_of(kind: str, scenario: str) -> dict[str, Any]:
    found: dict[str, Any] = one(as_it_is(scenario), kind)["spec"]["template"]["spec"]
    return found


@pytest.mark.parametrize(("kind", "scenario"), POD_SPECS)
def test_pods_are_restricted(kind: str, scenario: str) -> None:
    spec = spec_of(kind, scenario)
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == spec["securityContext"]["fsGroup"] > 10000
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


@pytest.mark.parametrize(("kind", "scenario"), POD_SPECS)
def test_silent_connections_are_probed_in_the_pods_own_network_namespace(kind: str, scenario: str) -> None:
    sysctls = {item["name"] for item in spec_of(kind, scenario)["securityContext"]["sysctls"]}
    # Those that Kubernetes holds for safe, from 1.29.
    assert sysctls == {f"net.ipv4.tcp_keepalive_{name}" for name in ("time", "intvl", "probes")}


@pytest.mark.parametrize(("kind", "scenario"), POD_SPECS)
def test_a_lookup_that_lost_a_packet_is_repeated_before_a_datastore_is_given_up(
    kind: str, scenario: str
) -> None:
    options = {item["name"]: int(item["value"]) for item in spec_of(kind, scenario)["dnsConfig"]["options"]}
    assert options["attempts"] > 1
    assert options["timeout"] < min(redis_url.CONNECT_TIMEOUT_SECONDS, mongodb_url.CONNECT_TIMEOUT_MS / 1000)


def test_slots_and_gauges_are_in_memory_and_what_waits_for_mongodb_is_not() -> None:
    objects = as_it_is()
    variables = {item["name"]: item.get("value") for item in worker(objects)["env"]}
    mounts = {item["mountPath"]: item["name"] for item in worker(objects)["volumeMounts"]}
    volumes = {item["name"]: item for item in pod(objects)["volumes"]}
    assert variables["AGENT_SLOT_DIRECTORY"] != variables["PROMETHEUS_MULTIPROC_DIR"]
    for name in ("AGENT_SLOT_DIRECTORY", "PROMETHEUS_MULTIPROC_DIR"):
        (mount,) = (path for path in mounts if str(variables[name]).startswith(f"{path}/"))
        assert volumes[mounts[mount]]["emptyDir"]["medium"] == "Memory"
    spool = volumes[mounts[str(variables["AGENT_SPOOL_DIRECTORY"])]]
    assert "medium" not in spool["emptyDir"]


def test_transcripts_can_wait_on_a_volume_that_outlives_the_pod() -> None:
    volumes = {item["name"]: item for item in pod(as_it_is("everything"))["volumes"]}
    assert volumes["spool"]["persistentVolumeClaim"] == {"claimName": "transcripts"}


def test_secrets_are_named_never_held() -> None:
    found = {
        item["name"]: item["valueFrom"]["secretKeyRef"] for item in worker(as_it_is("managed"))["env"][3:]
    }
    assert found["MONGODB_URL"] == {"name": "atlas", "key": "url"}
    assert found["LIVEKIT_API_SECRET"] == {"name": "livekit", "key": "LIVEKIT_API_SECRET"}


def test_the_index_job_is_given_no_secret_but_mongodbs() -> None:
    (container,) = spec_of("Job", "default")["containers"]
    assert [item["name"] for item in container["env"]] == ["MONGODB_URL"]
    assert container["args"] == ["agent", "indexes"]


def template_of(values: dict[str, Any]) -> Object:
    found: Object = rendered("Deployment", values)["spec"]["template"]
    return found


@pytest.mark.parametrize(
    "change",
    [
        {"env": {"AGENT_LLM": "openai/gpt-4.1-mini"}},
        {"agentName": "receptionist"},
        {"secrets": {"MONGODB_URL": {"existingSecret": "mongodb-app-2"}}},
        {"secretsRevision": "2"},
        {"image": {"tag": "1.0.1"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_a_worker_reads_when_it_starts_rolls_the_workers(change: dict[str, Any]) -> None:
    assert template_of(change) != template_of({})


@pytest.mark.parametrize(
    "change",
    [
        {"replicas": 2},
        {"networkPolicy": {"enabled": False}},
        {"podMonitor": {"enabled": True}},
        {"indexes": {"memoryMiB": 256}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_it_does_not_read_rolls_nothing(change: dict[str, Any]) -> None:
    assert template_of(change) == template_of({})


def job_name(values: dict[str, Any]) -> str:
    return str(rendered("Job", values)["metadata"]["name"])


def test_a_new_image_makes_a_new_index_job_since_a_job_cannot_be_changed() -> None:
    assert job_name({"image": {"tag": "1.0.1"}}) != job_name({})
    assert job_name({"indexes": {"memoryMiB": 256}}) != job_name({})
    assert job_name({"replicas": 2}) == job_name({})
    assert len(job_name({"fullnameOverride": "x" * 44})) <= 63


def test_at_most_one_index_pod_connects_at_once() -> None:
    spec = one(as_it_is(), "Job")["spec"]
    assert spec["podReplacementPolicy"] == "Failed"
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert "ttlSecondsAfterFinished" not in spec


def egress(objects: list[Object]) -> list[tuple[list[int], Any]]:
    rules = one(objects, "NetworkPolicy")["spec"]["egress"]
    return [([port["port"] for port in rule["ports"]], rule.get("to")) for rule in rules]


def test_workers_reach_the_datastores_livekit_and_dns_and_nothing_else() -> None:
    mongodb, redis, livekit, dns = egress(as_it_is())
    assert mongodb == ([27017], [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "mongodb"}}}])
    assert redis == ([6379], [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "redis"}}}])
    assert livekit == ([443, 7880, 7881, 3478], None)
    assert dns[0] == [53, 53]
    assert dns[1][0]["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}


def test_every_datastore_of_the_budget_is_reached() -> None:
    ports = [ports for ports, _ in egress(as_it_is("everything"))]
    assert ports[:5] == [[9200], [27017], [6379], [26379], [8080, 50051]]


def test_nobody_reaches_a_worker_but_who_scrapes_it() -> None:
    policy = one(as_it_is("everything"), "NetworkPolicy")["spec"]
    (rule,) = policy["ingress"]
    assert rule["ports"] == [{"port": 9464, "protocol": "TCP"}]
    assert rule["from"] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    ]
    assert policy["policyTypes"] == ["Ingress", "Egress"]


def test_policies_hold_for_the_index_job_too() -> None:
    selector = one(as_it_is(), "NetworkPolicy")["spec"]["podSelector"]["matchLabels"]
    assert selector.items() <= one(as_it_is(), "Job")["spec"]["template"]["metadata"]["labels"].items()


def test_the_pod_monitor_scrapes_workers_where_they_show_their_gauges() -> None:
    monitor = one(as_it_is("keda"), "PodMonitor")["spec"]
    workers = one(as_it_is("keda"), "Deployment")["spec"]["template"]
    assert monitor["selector"]["matchLabels"].items() <= workers["metadata"]["labels"].items()
    ports = {port["name"] for port in workers["spec"]["containers"][0]["ports"]}
    assert {endpoint["port"] for endpoint in monitor["podMetricsEndpoints"]} <= ports


def test_a_digest_wins_over_a_tag() -> None:
    image = worker(as_it_is("everything"))["image"]
    assert image.startswith("registry.example.com/team/agent@sha256:")
    assert worker(render())["image"] == "registry.example.com/agent:1.0.0"
