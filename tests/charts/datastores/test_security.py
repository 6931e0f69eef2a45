"""Every pod meets the restricted Pod Security Standard, holds no token, and no secret is where others can read it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.charts.datastores.scenarios import ALL, Scenario, containers, pod_specs
from tests.charts.render import Object

# The sysctls used here, all of which the standard admits (kubernetes.io, Pod Security Standards, v1.34).
SAFE_SYSCTLS = {f"net.ipv4.tcp_keepalive_{name}" for name in ("time", "intvl", "probes")}

VOLUMES = {"configMap", "secret", "emptyDir", "persistentVolumeClaim"}
WITH_PODS = [s for s in ALL if s.engine not in ("external", "operator")]


def pods(scenario: Scenario) -> list[Object]:
    """Every pod of a scenario; there is one at least, or the test would see nothing."""
    found = [pod for _, pod in pod_specs(scenario.objects())]
    assert found
    return found


def parts(scenario: Scenario) -> list[Object]:
    """Every container of every pod."""
    return [one for pod in pods(scenario) for one in containers(pod)]


@pytest.mark.parametrize("scenario", [s for s in WITH_PODS if s.name != "host-network"], ids=str)
def test_pods_are_restricted(scenario: Scenario) -> None:
    for pod in pods(scenario):
        assert not [key for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key)]
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] > 0
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert {sysctl["name"] for sysctl in security.get("sysctls", [])} <= SAFE_SYSCTLS
        assert {kind for volume in pod.get("volumes", []) for kind in volume if kind != "name"} <= VOLUMES
    for one in parts(scenario):
        own = one["securityContext"]
        assert own["allowPrivilegeEscalation"] is False, one["name"]
        assert own["capabilities"] == {"drop": ["ALL"]}, one["name"]
        assert own["readOnlyRootFilesystem"] is True, one["name"]
        assert own.get("runAsUser", 1) > 0, one["name"]
        assert not [port for port in one.get("ports", []) if "hostPort" in port], one["name"]


@pytest.mark.parametrize("scenario", WITH_PODS, ids=str)
def test_pods_hold_no_token_and_are_told_of_no_neighbours(scenario: Scenario) -> None:
    for pod in pods(scenario):
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False


@pytest.mark.parametrize("scenario", WITH_PODS, ids=str)
def test_containers_have_bounded_memory_and_pinned_images(scenario: Scenario) -> None:
    for one in parts(scenario):
        assert one["resources"]["limits"]["memory"], one["name"]
        assert one["resources"]["requests"]["cpu"], one["name"]
        assert re.search(r"(@sha256:[0-9a-f]{64}|:[^:/]+)$", one["image"]), one["image"]
        assert not one["image"].endswith(":latest")


@pytest.mark.parametrize("scenario", WITH_PODS, ids=str)
def test_every_emptydir_has_a_size(scenario: Scenario) -> None:
    for volume in (volume for pod in pods(scenario) for volume in pod.get("volumes", [])):
        assert "emptyDir" not in volume or volume["emptyDir"]["sizeLimit"], volume["name"]


@pytest.mark.parametrize("scenario", WITH_PODS, ids=str)
def test_secrets_come_by_reference_and_never_by_argument(scenario: Scenario) -> None:
    for one in parts(scenario):
        for variable in one.get("env", []):
            if re.search("PASSWORD|SECRET|API_KEY", variable["name"]):
                assert "secretKeyRef" in variable["valueFrom"], variable["name"]
        line = " ".join([*one.get("command", []), *one.get("args", [])])
        # Nor expanded into one by the kubelet: $(NAME).
        assert not re.search(r"--password|requirepass|://[^/@ ]+:[^/@ ]+@|\$\([A-Z_]+\)", line)
    for volume in (volume for pod in pods(scenario) for volume in pod.get("volumes", [])):
        if "secret" in volume:
            assert volume["secret"]["defaultMode"] == 0o440, volume["name"]


@pytest.mark.parametrize("scenario", ALL, ids=str)
def test_no_chart_makes_a_secret(scenario: Scenario) -> None:
    assert not [item for item in scenario.objects() if item["kind"] == "Secret"]


@pytest.mark.parametrize("scenario", [s for s in ALL if s.engine == "operator"], ids=str)
def test_pods_of_operators_are_as_restricted_as_their_images_let_them(scenario: Scenario) -> None:
    (resource,) = (
        item["spec"]
        for item in scenario.objects()
        if "redis" in item["apiVersion"] or "psmdb" in item["apiVersion"]
    )
    member: dict[str, Any] = resource["replsets"][0] if "replsets" in resource else resource
    pod = member["podSecurityContext"]
    assert pod["runAsNonRoot"] is True
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    own = member.get("containerSecurityContext") or member["securityContext"]
    assert own == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
