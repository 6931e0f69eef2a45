"""The stack policy: rendered stacks pass, and whatever contradicts the budget is refused, whoever changed it."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from infra.budget import solve
from infra.config import parse_config
from infra.policy.objects import Stack
from infra.policy.pack import ITEM_RULES, STACK_RULES, seen
from infra.policy.rules import Expected, item_violations, stack_violations
from infra.stack.cells import cells_of
from infra.stack.record import Record, entry
from infra.stack.running import Running, Worker
from tests.infra.stack import KIND, changed, rendered

Item = dict[str, Any]
Change = Callable[[list[Item]], None]


def refusals(values: dict[str, Any], items: list[Item]) -> list[str]:
    """What the policy says of these objects under this stack config."""
    config = parse_config(values, "test")
    assert config.deployment is not None
    namespaces = tuple(cell.namespace for cell in cells_of(config, config.deployment))
    expected = Expected(config, solve(config), namespaces)
    found = [violation for item in items for violation in item_violations(ITEM_RULES, item, expected)]
    found += stack_violations(STACK_RULES, Stack(tuple(items)), expected)
    return [f"[{one.rule}] {one}" for one in found]


@pytest.fixture(scope="module")
def kind() -> list[Item]:
    """The objects of the kind stack."""
    return rendered(KIND)


SCALED = changed(
    {
        "deployment.values": {"agent-worker": {"scaling": {"by": "hpa", "hpa": {"rule": False}}}},
    }
)


@pytest.fixture(scope="module")
def scaled() -> list[Item]:
    """The same with a scaler."""
    return rendered(SCALED)


def test_what_the_program_deploys_passes(kind: list[Item], scaled: list[Item]) -> None:
    assert refusals(KIND, kind) == []
    assert refusals(SCALED, scaled) == []


def test_what_the_cluster_filled_in_is_nobodys_mistake(scaled: list[Item]) -> None:
    """The plugin returns the cluster's object, and beside it what was asked for."""
    asked = one(scaled, "Deployment", "agent-worker")
    live = deepcopy(dict(asked)) | {"__inputs": asked}
    live["spec"]["replicas"] = 1
    found = dict(seen(asked["pulumiType"], asked["urn"], live))
    assert refusals(SCALED, [found if item is asked else item for item in scaled]) == []


WATCHED = changed({"deployment.watcher": {"enabled": True, "replicas": 2}})


@pytest.fixture(scope="module")
def watched() -> list[Item]:
    """The same with watchers."""
    return rendered(WATCHED)


def watcher(items: list[Item]) -> Item:
    return one(items, "Deployment", "agent-worker-watcher")


def watchers_container(items: list[Item]) -> Item:
    container: Item = watcher(items)["spec"]["template"]["spec"]["containers"][0]
    return container


def test_watchers_are_no_fleet_and_no_consumer(watched: list[Item]) -> None:
    assert refusals(WATCHED, watched) == []


def given_mongodb(items: list[Item]) -> None:
    source = {"secretKeyRef": {"name": "agent-worker", "key": "MONGODB_URL"}}
    watchers_container(items)["env"].append({"name": "MONGODB_URL", "valueFrom": source})


def in_the_workers_class(items: list[Item]) -> None:
    (fleet,) = (
        item for item in items if item["metadata"]["name"] == "agent-worker" and item["kind"] == "Deployment"
    )
    class_name = fleet["spec"]["template"]["spec"]["priorityClassName"]
    watcher(items)["spec"]["template"]["spec"]["priorityClassName"] = class_name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (given_mongodb, "is given MONGODB_URL, but mongodb.consumers counts nobody of that name"),
        (
            lambda items: watchers_container(items).update(args=["livekit.agents", "start", "x.py"]),
            "has 2 fleets (Deployment agents/agent-worker and Deployment agents/agent-worker-watcher)",
        ),
        (in_the_workers_class, "has the workers' PriorityClass"),
    ],
    ids=["a datastore's address", "takes calls", "workers' class"],
)
def test_what_calls_itself_a_watcher_is_looked_at(watched: list[Item], change: Change, message: str) -> None:
    items = deepcopy(watched)
    change(items)
    assert [text for text in refusals(WATCHED, items) if message in text]


def test_cells_pass_each_by_itself() -> None:
    values = changed({"fleet.cells": 2})
    assert refusals(values, rendered(values)) == []


def test_servers_that_still_take_older_fleets_on_record_pass() -> None:
    larger = parse_config(changed({"fleet.jobs": 16}), "test")
    record = Record((entry(larger, solve(larger)),))
    runs = {"agents": Running((Worker("w", record.entries[0].digest, terminating=False),), record)}
    items = rendered(KIND, runs=runs)
    assert "maxIncomingConnections: 136" in one(items, "ConfigMap", "mongodb")["data"]["mongod.conf"]
    assert refusals(KIND, items) == []


def one(items: list[Item], kind: str, name: str = "") -> Item:
    (found,) = (item for item in items if item["kind"] == kind and name in item["metadata"]["name"])
    return found


def pod(items: list[Item]) -> Item:
    spec: Item = one(items, "Deployment", "agent-worker")["spec"]["template"]["spec"]
    return spec


def worker(items: list[Item]) -> Item:
    container: Item = pod(items)["containers"][0]
    return container


def spec(kind: str, name: str = "", **changes: Any) -> Change:
    """Sets keys of an object's spec; None takes one out."""

    def change(items: list[Item]) -> None:
        for key, value in changes.items():
            if value is None:
                one(items, kind, name)["spec"].pop(key, None)
            else:
                one(items, kind, name)["spec"][key] = value

    return change


def data(name: str, **changes: str | None) -> Change:
    def change(items: list[Item]) -> None:
        for key, value in changes.items():
            if value is None:
                del one(items, "ConfigMap", name)["data"][key]
            else:
                one(items, "ConfigMap", name)["data"][key] = value

    return change


def replaced(kind: str, name: str, old: str, new: str) -> Change:
    """One text for another, anywhere in the object's data."""

    def change(items: list[Item]) -> None:
        texts = one(items, kind, name)["data"]
        assert any(old in text for text in texts.values())
        for key, text in texts.items():
            texts[key] = text.replace(old, new)

    return change


def variable(name: str, value: str) -> Change:
    return lambda items: worker(items)["env"].append({"name": name, "value": value})


def without(kind: str) -> Change:
    return lambda items: items.remove(one(items, kind))


def beside(item: Item) -> Change:
    return lambda items: items.append(item)


def with_pod(**changes: Any) -> Change:
    return lambda items: pod(items).update(changes)


def another(kind: str, **changes: Any) -> Change:
    """A second workload with the workers' pods."""

    def change(items: list[Item]) -> None:
        copy = deepcopy(one(items, "Deployment", "agent-worker"))
        copy["kind"] = kind
        copy["metadata"] |= {"name": "second"} | changes
        items.append(copy)

    return change


def client(name: str, kind: str = "Deployment", **fields: Any) -> Item:
    """Somebody else who is given MongoDB's address."""
    source = {"secretKeyRef": {"name": "agent-worker", "key": "MONGODB_URL"}}
    container = {"name": "main", "image": "x", "env": [{"name": "MONGODB_URL", "valueFrom": source}]}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "agents"},
        "spec": {"template": {"spec": {"containers": [container]}}} | fields,
    }


def volume_gone(items: list[Item]) -> None:
    one(items, "StatefulSet", "mongodb")["spec"].pop("volumeClaimTemplates")


def deleted_with(items: list[Item]) -> None:
    one(items, "StatefulSet", "mongodb")["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] = (
        "Delete"
    )


def less_memory(name: str) -> Change:
    def change(items: list[Item]) -> None:
        container = one(items, "StatefulSet", name)["spec"]["template"]["spec"]["containers"][0]
        container["resources"]["limits"]["memory"] = "64Mi"

    return change


def quota_of_others(items: list[Item]) -> None:
    one(items, "ResourceQuota")["spec"]["scopeSelector"]["matchExpressions"][0]["values"] = ["other"]


def quota_of(pods: str) -> Change:
    return lambda items: one(items, "ResourceQuota")["spec"]["hard"].update(pods=pods)


def in_class(items: list[Item]) -> None:
    batch = client("indexes-again")
    batch["spec"]["template"]["spec"]["priorityClassName"] = pod(items)["priorityClassName"]
    items.append(batch)


ROLL = {"maxSurge": 1, "maxUnavailable": 0}
REFUSED: list[tuple[str, Change, str]] = [
    # How many, and how they are replaced
    (
        "replicas",
        spec("Deployment", "agent-worker", replicas=3),
        "spec.replicas is 3, the budget counts 2 workers",
    ),
    (
        "recreate",
        spec("Deployment", "agent-worker", strategy={"type": "Recreate"}),
        "strategy.type is Recreate",
    ),
    (
        "surge",
        spec("Deployment", "agent-worker", strategy={"rollingUpdate": ROLL | {"maxSurge": 2}}),
        "maxSurge is 2, the budget pays for 1",
    ),
    (
        "surge by default",
        spec("Deployment", "agent-worker", strategy={"rollingUpdate": {"maxUnavailable": 0}}),
        "maxSurge is missing (25 % then)",
    ),
    (
        "unavailable",
        spec("Deployment", "agent-worker", strategy={"rollingUpdate": ROLL | {"maxUnavailable": 1}}),
        "maxUnavailable is 1: a rollout would break the promise",
    ),
    (
        "no strategy",
        spec("Deployment", "agent-worker", strategy=None),
        "maxUnavailable is missing (25 % then)",
    ),
    (
        "second fleet",
        another("Deployment"),
        "has 2 fleets (Deployment agents/agent-worker and Deployment agents/second)",
    ),
    (
        "fleet elsewhere",
        another("Deployment", namespace="other"),
        "makes workers outside of the stack's namespaces (agents)",
    ),
    (
        "workers by DaemonSet",
        another("DaemonSet"),
        "only a Deployment's replicas are counted: a DaemonSet is not",
    ),
    (
        "no fleet",
        lambda items: items.remove(one(items, "Deployment", "agent-worker")),
        "namespace agents has no fleet",
    ),
    # How long they may drain
    (
        "grace",
        with_pod(terminationGracePeriodSeconds=30),
        "terminationGracePeriodSeconds is 30, preStop, drain and",
    ),
    (
        "grace by default",
        lambda items: pod(items).pop("terminationGracePeriodSeconds"),
        "terminationGracePeriodSeconds is missing (30 then)",
    ),
    (
        "preStop",
        lambda items: worker(items).update(lifecycle={"preStop": {"sleep": {"seconds": 99}}}),
        "preStop sleeps 99 s",
    ),
    (
        "deadline",
        spec("Deployment", "agent-worker", progressDeadlineSeconds=60),
        "progressDeadlineSeconds is 60, a rollout may take",
    ),
    (
        "deadline by default",
        spec("Deployment", "agent-worker", progressDeadlineSeconds=None),
        "progressDeadlineSeconds is missing (600 then)",
    ),
    # With which numbers they start
    ("slots", data("agent-worker", AGENT_SLOTS="40"), "AGENT_SLOTS is 40, the budget solved 4"),
    ("pool", data("agent-worker", MONGODB_POOL="100"), "MONGODB_POOL is 100, the budget solved 2"),
    ("pool in the pod", variable("REDIS_POOL", "50"), "REDIS_POOL is 50, the budget solved 2"),
    (
        "monitors",
        data("agent-worker", MONGODB_MONITORING="stream"),
        "MONGODB_MONITORING is stream, the budget solved poll",
    ),
    ("slots in the pod", variable("AGENT_SLOTS", "8"), "AGENT_SLOTS is 8, the budget solved 4"),
    (
        "pool from elsewhere",
        lambda items: worker(items)["env"].append({"name": "MONGODB_POOL", "valueFrom": {}}),
        "MONGODB_POOL is from elsewhere",
    ),
    (
        "no pool",
        data("agent-worker", MONGODB_POOL=None),
        "MONGODB_POOL missing from the worker's variables: its pools would be unbounded",
    ),
    ("no numbers", lambda items: worker(items).pop("envFrom"), "missing from the worker's variables"),
    (
        "pool in an address",
        data("agent-worker", OTHER="mongodb://db/?maxPoolSize=500"),
        "sets a pool of its own",
    ),
    (
        "memory",
        lambda items: worker(items)["resources"]["limits"].update(memory="1Mi"),
        "resources.limits.memory is 1 MiB, a full worker needs",
    ),
    ("no memory", lambda items: worker(items).pop("resources"), "resources.requests.memory is missing"),
    # The quota
    ("no quota", without("ResourceQuota"), "no ResourceQuota counts pods of the PriorityClass"),
    ("large quota", quota_of("40"), "spec.hard.pods is 40, the budget solved 4 workers at the peak"),
    ("small quota", quota_of("2"), "spec.hard.pods is 2, the budget solved 4"),
    ("quota of others", quota_of_others, "no ResourceQuota counts pods of the PriorityClass"),
    (
        "no class",
        lambda items: pod(items).pop("priorityClassName"),
        "has no priorityClassName: no quota counts its pods",
    ),
    (
        "class for all",
        lambda items: one(items, "PriorityClass").update(globalDefault=True),
        "globalDefault is true",
    ),
    ("class of others", in_class, "has the workers' PriorityClass"),
    (
        "evictions",
        spec("PodDisruptionBudget", "agent-worker", maxUnavailable=9),
        "spec.maxUnavailable is 9, the spare pays for",
    ),
    (
        "evictions in parts",
        spec("PodDisruptionBudget", "agent-worker", maxUnavailable="50%"),
        "spec.maxUnavailable is 50%",
    ),
    # Servers
    (
        "MongoDB's limit",
        replaced("ConfigMap", "mongodb", "maxIncomingConnections: 80", "maxIncomingConnections: 800"),
        "net.maxIncomingConnections is 800, the budget solved 80",
    ),
    (
        "no MongoDB limit",
        replaced("ConfigMap", "mongodb", "maxIncomingConnections: 80", ""),
        "net.maxIncomingConnections is missing (no limit then)",
    ),
    ("MongoDB's memory", less_memory("mongodb"), "limits.memory is 64 MiB, 80 connections and the data need"),
    ("Redis's limit", replaced("ConfigMap", "redis", "maxclients ", "maxclients 9"), "maxclients is 9"),
    (
        "no Redis limit",
        replaced("ConfigMap", "redis", "maxclients", "#"),
        "maxclients is missing (no limit then)",
    ),
    ("Redis's memory", less_memory("redis"), "limits.memory is 64 MiB"),
    (
        "Redis's data",
        replaced("ConfigMap", "redis", "maxmemory 128mb", "maxmemory 0"),
        "maxmemory is missing (no bound then), the budget solved 128 MiB",
    ),
    (
        "members",
        spec("StatefulSet", "mongodb", replicas=3),
        "spec.replicas is 3, the budget counts 1 (mongodb.nodes)",
    ),
    (
        "no server",
        lambda items: items.remove(one(items, "StatefulSet", "redis")),
        "has no redis server, and the budget has no managed one",
    ),
    ("no volume", volume_gone, "has no volume: transcripts would go with the pod"),
    ("volume goes", deleted_with, "whenDeleted is Delete"),
    # Everyone else who connects
    (
        "stranger",
        beside(client("api")),
        "is given MONGODB_URL, but mongodb.consumers counts nobody of that name",
    ),
    (
        "too many",
        beside(client("probes", replicas=5)),
        "runs 5 processes, mongodb.consumers pays for 1 of them",
    ),
    # Secrets
    (
        "password in an address",
        data("agent-worker", OTHER="redis://app:hunter2@redis/0"),
        "data.OTHER holds an address with a password",
    ),
    (
        "password in an argument",
        lambda items: worker(items)["args"].append("--url=mongodb://u:pw@db/"),
        "holds an address with a password",
    ),
    ("password in plain", variable("DB_PASSWORD", "hunter2"), "DB_PASSWORD stands in plain"),
    ("key in plain", variable("LIVEKIT_API_SECRET", "hunter2"), "LIVEKIT_API_SECRET stands in plain"),
    (
        "secret of a chart",
        beside(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "s", "namespace": "agents"},
                "data": {"a": "b"},
                "urn": "x$kubernetes:helm.sh/v4:Chart$y",
            }
        ),
        "comes from a chart's values, which Pulumi's state holds in clear",
    ),
    # What cannot be looked into
    (
        "patch",
        beside(
            {
                "kind": "Deployment",
                "metadata": {"name": "agent-worker", "namespace": "agents"},
                "pulumiType": "kubernetes:apps/v1:DeploymentPatch",
            }
        ),
        "patches an object after it was compared",
    ),
    (
        "release",
        beside({"kind": None, "namespace": "agents", "pulumiType": "kubernetes:helm.sh/v3:Release"}),
        "a Release in agents hides its objects",
    ),
]


@pytest.mark.parametrize(("change", "message"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_contradicts_the_budget_is_refused(kind: list[Item], change: Change, message: str) -> None:
    items = deepcopy(kind)
    change(items)
    assert [text for text in refusals(KIND, items) if message in text]


FAST_DOWN = {"scaleDown": {"policies": [{"type": "Pods", "value": 9, "periodSeconds": 15}]}}
REFUSED_SCALING: list[tuple[str, Change, str]] = [
    (
        "maximum",
        spec("HorizontalPodAutoscaler", maxReplicas=9),
        "spec.maxReplicas is 9, the budget counts 2 workers",
    ),
    ("no maximum", spec("HorizontalPodAutoscaler", maxReplicas=None), "spec.maxReplicas is missing"),
    (
        "fast",
        spec("HorizontalPodAutoscaler", behavior=FAST_DOWN),
        "scaleDown takes 9 Pods in 15 s, the spare pays for",
    ),
    (
        "no brake",
        spec("HorizontalPodAutoscaler", behavior=None),
        "no scaleDown policy: all workers could drain at once",
    ),
    (
        "two owners",
        spec("Deployment", "agent-worker", replicas=1),
        "spec.replicas is set, but HorizontalPodAutoscaler",
    ),
    (
        "two scalers",
        beside(
            {
                "kind": "ScaledObject",
                "metadata": {"name": "k", "namespace": "agents"},
                "spec": {"scaleTargetRef": {"name": "agent-worker"}, "maxReplicaCount": 2},
            }
        ),
        "is scaled by HorizontalPodAutoscaler agents/agent-worker and ScaledObject agents/k: accepted is one",
    ),
    (
        "KEDA's maximum",
        beside(
            {
                "kind": "ScaledObject",
                "metadata": {"name": "k", "namespace": "agents"},
                "spec": {"scaleTargetRef": {"name": "x"}},
            }
        ),
        "spec.maxReplicaCount is missing (100 then)",
    ),
]


@pytest.mark.parametrize(
    ("change", "message"), [row[1:] for row in REFUSED_SCALING], ids=[row[0] for row in REFUSED_SCALING]
)
def test_a_scaler_that_passes_the_budget_is_refused(scaled: list[Item], change: Change, message: str) -> None:
    items = deepcopy(scaled)
    change(items)
    assert [text for text in refusals(SCALED, items) if message in text]


def test_a_managed_server_and_one_of_our_own_contradict_each_other(kind: list[Item]) -> None:
    values = changed({"mongodb.limit": 500})
    assert [text for text in refusals(values, kind) if "the budget has a managed one (plan or limit)" in text]
