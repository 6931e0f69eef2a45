"""What users may add to a fleet (labels, variables, volumes, containers) does not displace what keeps it within the
budget, nor lower the pods' security."""

from __future__ import annotations

from typing import Any

import pytest

from tests.charts.render import Refused
from tests.charts.worker.rendering import as_it_is, kinds, one, pod, render, worker

SIDECAR = {"name": "proxy", "image": "proxy:1"}


def sidecar(**more: Any) -> dict[str, Any]:
    return {"sidecars": [SIDECAR | more]}


def mount(path: str) -> dict[str, Any]:
    return {"extraVolumeMounts": [{"name": "models", "mountPath": path}]}


# Refused by values.schema.json, which says where.
PLACES: list[tuple[dict[str, Any], str]] = [
    # A label that the policies, the quota's Deployment and the PodMonitor select by.
    ({"extraLabels": {"app.kubernetes.io/name": "x"}}, "/extraLabels/app.kubernetes.io~1name"),
    ({"podMonitor": {"labels": {"helm.sh/chart": "x"}}}, "/podMonitor/labels/helm.sh~1chart"),
    ({"podAnnotations": {"checksum/config": "x"}}, "/podAnnotations/checksum~1config"),
    # Slot locks and gauges are the pod's own, in memory.
    (mount("/run/agent/slots"), "/extraVolumeMounts/0/mountPath"),
    (mount("/run"), "/extraVolumeMounts/0/mountPath"),
    (mount("/tmp/"), "/extraVolumeMounts/0/mountPath"),
    ({"extraVolumes": [{"name": "shared", "emptyDir": {}}]}, "/extraVolumes/0/name"),
    # The restricted Pod Security Standard.
    ({"extraVolumes": [{"name": "node", "hostPath": {"path": "/"}}]}, "/extraVolumes/0/hostPath"),
    (sidecar(securityContext={"privileged": True}), "/sidecars/0/securityContext/privileged"),
    (
        sidecar(securityContext={"allowPrivilegeEscalation": True}),
        "/sidecars/0/securityContext/allowPrivilegeEscalation",
    ),
    (sidecar(securityContext={"runAsUser": 0}), "/sidecars/0/securityContext/runAsUser"),
    (
        sidecar(securityContext={"capabilities": {"add": ["NET_ADMIN"]}}),
        "/sidecars/0/securityContext/capabilities/add/0",
    ),
    (sidecar(ports=[{"containerPort": 80, "hostPort": 80}]), "/sidecars/0/ports/0/hostPort"),
    (sidecar(image="proxy:latest"), "/sidecars/0/image"),
    (sidecar(name="worker"), "/sidecars/0/name"),
    # It would be a sidecar, and it would run before the sidecars.
    ({"extraInitContainers": [SIDECAR | {"restartPolicy": "Always"}]}, "/extraInitContainers/0"),
    # An empty rule is one that lets everything out.
    ({"networkPolicy": {"extraEgress": [{}]}}, "/networkPolicy/extraEgress/0"),
    ({"scaling": {"selector": 'x="1"} or vector(0) #{'}}, "/scaling/selector"),
    ({"image": {"repository": "registry.example.com/agent:latest"}}, "/image/repository"),
    ({"secrets": {"MONGODB_URL": {"existingSecret": "a, key: b"}}}, "/secrets/MONGODB_URL/existingSecret"),
    ({"env": {"MONGODB_POOL ": "100"}}, "at '/env': additional properties 'MONGODB_POOL '"),
]

CONTRADICTIONS: list[tuple[dict[str, Any], str, str]] = [
    (
        {"resources": {"cpuMillicores": 9000, "cpuLimitMillicores": 8000}},
        "resources.cpuLimitMillicores is 8000, resources.cpuMillicores 9000",
        "at least",
    ),
    (
        {"spool": {"sizeMiB": 2048}},
        "spool.sizeMiB is 2048, resources.ephemeralStorageMiB 1024",
        "at most",
    ),
    (
        {"podAnnotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"}},
        "podAnnotations.cluster-autoscaler.kubernetes.io/safe-to-evict",
        "nodeLifecycle.protect: false",
    ),
    (
        {"networkPolicy": {"livekit": {"udpPorts": [60000, 50000]}}},
        "networkPolicy.livekit.udpPorts is [60000, 50000]",
        "above the last",
    ),
    ({"env": {"OPENAI_API_KEY": "sk-1"}}, "env.OPENAI_API_KEY looks like a secret", "secrets: {OPENAI"),
    (
        {"extraEnv": [{"name": "PROXY_PASSWORD", "value": "x"}]},
        "PROXY_PASSWORD looks like a secret",
        "secrets: {PROXY_PASSWORD",
    ),
    (
        {"secrets": {"WEAVIATE_URL": {"existingSecret": "weaviate"}}},
        "secrets.WEAVIATE_URL is given, but the budget counts no connections to weaviate",
        "make budget",
    ),
    ({"env": {"OPENSEARCH_URL": "https://x"}}, "env.OPENSEARCH_URL is given", "make budget"),
]


@pytest.mark.parametrize(("values", "place"), PLACES, ids=[place for _, place in PLACES])
def test_what_displaces_the_charts_own_is_refused_by_its_place(values: dict[str, Any], place: str) -> None:
    with pytest.raises(Refused) as refused:
        render(values)
    assert place in str(refused.value)


@pytest.mark.parametrize(("values", "key", "says"), CONTRADICTIONS, ids=[key for _, key, _ in CONTRADICTIONS])
def test_what_contradicts_itself_is_refused(values: dict[str, Any], key: str, says: str) -> None:
    with pytest.raises(Refused) as refused:
        render(values)
    assert key in str(refused.value)
    assert says in str(refused.value)


def test_what_is_beside_the_charts_own_is_taken() -> None:
    values = {
        **mount("/tmp/models"),
        **sidecar(securityContext={"runAsUser": 1000, "readOnlyRootFilesystem": False}),
        "extraLabels": {"app.kubernetes.io/team": "voice"},
        "env": {"MAX_TOKENS": 512, "KEYBOARD": "de"},
        "extraEnv": [{"name": "API_KEY", "valueFrom": {"secretKeyRef": {"name": "x", "key": "y"}}}],
        "image": {"repository": "localhost:5000/agent"},
    }
    objects = render(values)
    (proxy,) = pod(objects)["initContainers"]
    assert proxy["securityContext"]["runAsUser"] == 1000
    assert worker(objects)["image"] == "localhost:5000/agent:1.0.0"
    unprotected = {"podAnnotations": {"karpenter.sh/do-not-disrupt": "false"}}
    render({"nodeLifecycle": {"protect": False}, **unprotected})


def test_a_priority_class_that_pods_are_given_is_made_with_or_without_the_quota() -> None:
    objects = render({"quota": {"enabled": False}, "priorityClass": {"name": "voice"}})
    assert pod(objects)["priorityClassName"] == one(objects, "PriorityClass")["metadata"]["name"] == "voice"
    objects = render({"quota": {"enabled": False}})
    assert "PriorityClass" not in kinds(objects)
    assert "priorityClassName" not in pod(objects)


def test_numbers_and_names_arrive_as_they_were_written() -> None:
    # YAML would read these names as numbers, and helm holds 10000000 for 1e+07.
    objects = render(
        {
            "env": {"LARGE": 10_000_000, "SWITCH": True, "RATIO": 0.25},
            "secrets": {"MONGODB_URL": {"existingSecret": "123", "key": "456"}},
            "spool": {"existingClaim": "1e3"},
            "entrypoint": "agents/my: worker.py",
        }
    )
    config = one(objects, "ConfigMap")["data"]
    assert (config["LARGE"], config["SWITCH"], config["RATIO"]) == ("10000000", "true", "0.25")
    variables = {item["name"]: item for item in worker(objects)["env"]}
    assert variables["MONGODB_URL"]["valueFrom"]["secretKeyRef"] == {"name": "123", "key": "456"}
    (spool,) = (volume for volume in pod(objects)["volumes"] if volume["name"] == "spool")
    assert spool["persistentVolumeClaim"] == {"claimName": "1e3"}
    assert worker(objects)["args"] == ["livekit.agents", "start", "agents/my: worker.py"]


@pytest.mark.parametrize("kind", ["Deployment", "Job"])
def test_where_pods_run_and_who_pulls_their_image_is_the_users(kind: str) -> None:
    spec = one(as_it_is("everything"), kind)["spec"]["template"]["spec"]
    assert spec["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert spec["tolerations"] == [{"key": "agents", "operator": "Exists", "effect": "NoSchedule"}]
    assert spec["imagePullSecrets"] == [{"name": "pull"}]


def test_further_variables_volumes_and_mounts_reach_the_worker() -> None:
    objects = as_it_is("everything")
    assert one(objects, "ConfigMap")["data"]["AGENT_LLM"] == "openai/gpt-4.1-mini"
    variables = {item["name"]: item for item in worker(objects)["env"]}
    assert variables["NODE_NAME"]["valueFrom"] == {"fieldRef": {"fieldPath": "spec.nodeName"}}
    assert {"name": "models", "emptyDir": {}} in pod(objects)["volumes"]
    assert {"name": "models", "mountPath": "/models"} in worker(objects)["volumeMounts"]
