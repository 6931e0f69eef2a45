"""What feeds or guards a pod is made before it and deleted after it: Pulumi knows no other order than what is named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.infra.stack import KIND, changed, rendered

Item = dict[str, Any]
DEPENDS_ON = "config.kubernetes.io/depends-on"
PAUSED = {"agent-worker": {"podDisruptionBudget": {"enabled": False}, "networkPolicy": {"enabled": False}}}
STACKS = {
    "kind": KIND,
    "monitored": changed({"deployment.monitoring": True, "deployment.labels": {"team": "voice"}}),
    "less": changed({"deployment.values": PAUSED | {"mongodb": {"networkPolicy": {"enabled": False}}}}),
    "watched": changed({"deployment.watcher.enabled": True}),
    "watched, less": changed({"deployment.watcher.enabled": True, "deployment.values": PAUSED}),
    "ferretdb": changed({"deployment.values": {"mongodb": {"engine": "ferretdb"}}}),
}


@pytest.mark.parametrize("stack", STACKS)
def test_whatever_a_pod_needs_is_named_by_who_makes_the_pod(stack: str) -> None:
    items = rendered(STACKS[stack])
    owners = [item for item in items if "template" in item.get("spec", {})]
    assert {owner["kind"] for owner in owners} == {"Deployment", "StatefulSet", "Job"}
    for owner in owners:
        needed = {reference(item) for item in needs(owner, items)}
        assert needed <= named(owner), owner["metadata"]["name"]


@pytest.mark.parametrize("stack", STACKS)
def test_what_is_named_is_there(stack: str) -> None:
    """The plugin refuses a chart whose objects wait for one that the chart does not make."""
    items = rendered(STACKS[stack])
    there = {reference(item) for item in items}
    for item in items:
        assert named(item) <= there, item["metadata"]["name"]


def needs(owner: Item, items: list[Item]) -> Iterator[Item]:
    """Policies, quotas, budgets and classes that its pods fall under; what they mount or run as."""
    template = owner["spec"]["template"]
    pod, labels = template["spec"], template["metadata"]["labels"]
    mounted = [volume.get("configMap", {}).get("name") for volume in pod.get("volumes", [])]
    mounted += [
        source.get("configMapRef", {}).get("name")
        for container in pod["containers"]
        for source in container.get("envFrom", [])
    ]
    for item in items:
        name, spec = item["metadata"]["name"], item.get("spec", {})
        match item["kind"]:
            case "NetworkPolicy":
                wanted = selects(spec["podSelector"], labels)
            case "PodDisruptionBudget":
                wanted = selects(spec["selector"], labels)
            case "ResourceQuota":
                (scope,) = spec["scopeSelector"]["matchExpressions"]
                wanted = pod.get("priorityClassName") in scope["values"]
            case "PriorityClass":
                wanted = pod.get("priorityClassName") == name
            case "ServiceAccount":
                wanted = pod.get("serviceAccountName") == name
            case "ConfigMap":
                wanted = name in mounted
            case _:
                wanted = False
        if wanted:
            yield item


def selects(selector: Item, labels: Item) -> bool:
    assert set(selector) == {"matchLabels"}
    return set(selector["matchLabels"].items()) <= set(labels.items())


def named(item: Item) -> set[str]:
    text = item["metadata"].get("annotations", {}).get(DEPENDS_ON, "")
    return {part.strip() for part in text.split(",") if part.strip()}


def reference(item: Item) -> str:
    """As the annotation has it."""
    group = item["apiVersion"].rpartition("/")[0]
    namespace = item["metadata"].get("namespace")
    where = f"namespaces/{namespace}/" if namespace and item["kind"] != "PriorityClass" else ""
    return f"{group}/{where}{item['kind']}/{item['metadata']['name']}"
