"""When an object counts as there: what is still missing, in words that stand in an error message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Object = dict[str, Any]


def missing(live: Object) -> str | None:
    """What it still waits for; None when it is ready, or of a kind that is ready once it exists.

    Raises Failed when it will not become ready by waiting.
    """
    if live["metadata"].get("annotations", {}).get("pulumi.com/skipAwait") == "true":
        return None
    look = _KINDS.get((live["apiVersion"].split("/")[0], live["kind"]))
    return look(live) if look else None


class Failed(Exception):
    """Waiting longer is of no use."""


def _deployment(live: Object) -> str | None:
    spec, status = live["spec"], live.get("status", {})
    for condition in status.get("conditions", []):
        if condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            raise Failed(condition.get("message", "progress deadline exceeded"))
    if status.get("observedGeneration", 0) < live["metadata"]["generation"]:
        return "the controller to see it"
    wanted = spec.get("replicas", 1)
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    if updated < wanted:
        return f"{wanted - updated} pods of the new revision"
    if status.get("replicas", 0) > updated:
        return f"{status['replicas'] - updated} pods of an old revision to end"
    return f"{updated - available} pods to become available" if available < updated else None


def _stateful_set(live: Object) -> str | None:
    status, wanted = live.get("status", {}), live["spec"].get("replicas", 1)
    if status.get("observedGeneration", 0) < live["metadata"]["generation"]:
        return "the controller to see it"
    if (
        status.get("updateRevision") != status.get("currentRevision")
        and status.get("updatedReplicas", 0) < wanted
    ):
        return "pods of the new revision"
    ready = status.get("readyReplicas", 0)
    return f"{wanted - ready} pods to become ready" if ready < wanted else None


def _daemon_set(live: Object) -> str | None:
    status = live.get("status", {})
    ready, wanted = status.get("numberReady", 0), status.get("desiredNumberScheduled", 0)
    return f"{wanted - ready} pods to become ready" if ready < wanted else None


def _job(live: Object) -> str | None:
    for condition in live.get("status", {}).get("conditions", []):
        if condition["status"] == "True" and condition["type"] == "Failed":
            raise Failed(condition.get("message", "the job failed"))
        if condition["status"] == "True" and condition["type"] == "Complete":
            return None
    return "the job to complete"


def _namespace(live: Object) -> str | None:
    phase = live.get("status", {}).get("phase")
    return None if phase == "Active" else f"the namespace to be active, it is {phase}"


def _custom_resource_definition(live: Object) -> str | None:
    conditions = live.get("status", {}).get("conditions", [])
    established = any(one["type"] == "Established" and one["status"] == "True" for one in conditions)
    return None if established else "the definition to be established"


_KINDS: dict[tuple[str, str], Callable[[Object], str | None]] = {
    ("apps", "Deployment"): _deployment,
    ("apps", "StatefulSet"): _stateful_set,
    ("apps", "DaemonSet"): _daemon_set,
    ("batch", "Job"): _job,
    ("v1", "Namespace"): _namespace,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _custom_resource_definition,
}
