"""Every number in a rendered manifest is a figure of the budget, or a constant that is listed here with its reason."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest

from infra.handoff.environment import worker_environment
from tests.charts.render import Object
from tests.charts.worker.rendering import as_it_is, budget

SCENARIOS = ("default", "keda", "hpa", "strict", "managed")

# Where a figure stands (kind and path, list indexes left out) and which figure it is (its path in the solution).
FIGURES = {
    "Deployment.spec.replicas": "fleet.max_replicas",
    "Deployment.spec.strategy.rollingUpdate.maxSurge": "fleet.surge",
    "Deployment.spec.progressDeadlineSeconds": "time.progress_deadline_seconds",
    "Deployment.spec.template.spec.terminationGracePeriodSeconds": "time.termination_grace_period_seconds",
    "Deployment.spec.template.spec.containers.lifecycle.preStop.sleep.seconds": "time.pre_stop_seconds",
    "Deployment.spec.template.spec.containers.livenessProbe.terminationGracePeriodSeconds": "time.job_end_seconds",
    "Deployment.spec.template.spec.containers.startupProbe.failureThreshold": "pod.startup_probe_failures",
    "Deployment.spec.template.spec.containers.resources.requests.cpu": "pod.cpu_millicores",
    "Deployment.spec.template.spec.containers.resources.requests.memory": "pod.memory_mib",
    "Deployment.spec.template.spec.containers.resources.limits.memory": "pod.memory_mib",
    "Deployment.spec.template.spec.volumes.emptyDir.sizeLimit shared": "pod.shared_memory_mib",
    "PodDisruptionBudget.spec.maxUnavailable": "scaling.max_unavailable",
    "ResourceQuota.spec.hard.pods": "fleet.quota_pods",
    "ScaledObject.spec.minReplicaCount": "scaling.min_replicas",
    "ScaledObject.spec.maxReplicaCount": "fleet.max_replicas",
    "ScaledObject.spec.fallback.replicas": "fleet.max_replicas",
    "ScaledObject.spec.triggers.metadata.threshold": "fleet.slots",
    "ScaledObject.spec.triggers.metadata.query": "scaling.buffer_jobs",
    "HorizontalPodAutoscaler.spec.minReplicas": "scaling.min_replicas",
    "HorizontalPodAutoscaler.spec.maxReplicas": "fleet.max_replicas",
    "HorizontalPodAutoscaler.spec.metrics.external.target.averageValue": "fleet.slots",
    "PrometheusRule.spec.groups.rules.expr": "scaling.buffer_jobs",
}
for _prefix in (
    "ScaledObject.spec.advanced.horizontalPodAutoscalerConfig.behavior",
    "HorizontalPodAutoscaler.spec.behavior",
):
    FIGURES |= {
        f"{_prefix}.scaleUp.policies.value": "fleet.max_replicas",
        f"{_prefix}.scaleDown.policies.value": "scaling.scale_down_pods",
        f"{_prefix}.scaleDown.policies.periodSeconds": "scaling.scale_down_period_seconds",
    }

# Numbers that no budget decides: (path, value) and why.
CONSTANTS = {
    ".rollingUpdate.maxUnavailable": ({"0"}, "a worker goes when its successor is there"),
    ".revisionHistoryLimit": ({"3"}, "rollbacks"),
    "Probe.periodSeconds": ({"1", "5", "10"}, "how often the kubelet looks"),
    "Probe.timeoutSeconds": ({"5", "10"}, "how long it waits"),
    "livenessProbe.failureThreshold": ({"6"}, "a minute without an answer"),
    ".containerPort": ({"8081", "9464"}, "the worker's ports"),
    ".topologySpreadConstraints.maxSkew": ({"1"}, "as even as it goes"),
    ".preferredDuringSchedulingIgnoredDuringExecution.weight": ({"100"}, "the only term, at its most"),
    ".runAsUser": ({"10001"}, "the image's user"),
    ".runAsGroup": ({"10001"}, "the image's group"),
    ".fsGroup": ({"10001"}, "the image's group"),
    ".sysctls.value": ({"60", "10", "3"}, "keepalive"),
    ".dnsConfig.options.value": ({"1", "3"}, "a lost packet to the DNS costs a second"),
    ".ephemeral-storage": ({"1024"}, "disk is the user's"),
    ".sizeLimit spool": ({"256"}, "disk is the user's"),
    "PriorityClass.value": ({"1000"}, "workers before batch jobs"),
    "Job.spec.backoffLimit": ({"10"}, "MongoDB may still be starting"),
    "Job.spec.activeDeadlineSeconds": ({"1800"}, "MongoDB may still be starting"),
    "Job.spec.template.spec.containers.resources.requests.cpu": ({"100"}, "not a worker"),
    "Job.spec.template.spec.containers.resources.requests.memory": ({"512"}, "not a worker"),
    "Job.spec.template.spec.containers.resources.limits.memory": ({"512"}, "not a worker"),
    ".pollingInterval": ({"15"}, "how often KEDA looks"),
    ".fallback.failureThreshold": ({"5"}, "how often KEDA forgives Prometheus"),
    ".stabilizationWindowSeconds": ({"0", "300"}, "up at once, down when it lasts"),
    ".scaleUp.policies.periodSeconds": ({"15"}, "how often an autoscaler looks"),
    ".interval": ({"15"}, "how often Prometheus scrapes"),
}
# Texts with digits that are no quantities.
TEXTS = re.compile(
    r"NetworkPolicy\.|\.image$|\.apiVersion$|\.labels\.|\.annotations\.|\.name$|\.query$|\.expr$|\.serverAddress$"
    r"|\.mountPath$|\.path$|\.record$|\.value URL$|ConfigMap\.data\.LIVEKIT_URL"
)
NUMBER = re.compile(r"([0-9]+)(m|Mi|s)?")


def leaves(value: Any, path: str, name: str = "") -> Iterator[tuple[str, str]]:
    """(path, text) of every scalar; a volume's size carries the volume's name."""
    if isinstance(value, dict):
        name = str(value.get("name", name))
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}", name)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, path, name)
    elif not isinstance(value, bool) and value is not None:
        yield (f"{path} {name}" if path.endswith(".sizeLimit") else path), str(value)


def numbers(objects: list[Object]) -> Iterator[tuple[str, str]]:
    """(path, digits) of everything that is a quantity."""
    for item in objects:
        for path, text in leaves(item, item["kind"]):
            number = NUMBER.fullmatch(text)
            if number and not TEXTS.search(path):
                yield path, number[1]
            elif path.endswith((".query", ".expr")):
                yield path, text.rpartition(" + ")[2]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_number_is_traced(scenario: str) -> None:
    solution = asdict(budget(scenario))
    variables = worker_environment(budget(scenario))
    unknown = []
    for path, digits in numbers(as_it_is(scenario)):
        if path in FIGURES:
            section, figure = FIGURES[path].split(".")
            assert digits == str(solution[section][figure]), f"{path} is not {FIGURES[path]}"
        elif path.startswith("ConfigMap.data."):
            assert digits == variables[path.removeprefix("ConfigMap.data.")], path
        elif not any(
            path.endswith(ending) and digits in accepted for ending, (accepted, _) in CONSTANTS.items()
        ):
            unknown.append(f"{path}: {digits}")
    assert unknown == []


def test_every_figure_and_every_constant_is_somewhere() -> None:
    seen = {path for scenario in SCENARIOS for path, _ in numbers(as_it_is(scenario))}
    assert FIGURES.keys() - seen == set()
    assert [ending for ending in CONSTANTS if not any(path.endswith(ending) for path in seen)] == []


def test_the_environment_is_the_budgets() -> None:
    (config,) = (item for item in as_it_is("default") if item["kind"] == "ConfigMap")
    assert config["data"] == worker_environment(budget()) | {"AGENT_NAME": "assistant"}
