"""Kubernetes objects as the rules look at them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Item = Mapping[str, Any]

# Where the pod's template stands in what makes pods.
TEMPLATES = {
    "Pod": (),
    "Deployment": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicationController": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
WORKER = "agent-worker"
# Components of charts/agent-worker that take no calls.
NO_WORKERS = ("indexes", "watcher")


def at(item: Any, *path: str) -> Any:
    """What stands at a path; None where it ends early."""
    for step in path:
        item = item.get(step) if isinstance(item, Mapping) else None
    return item


def name(item: Item) -> str:
    """`Deployment agents/worker`, for messages."""
    namespace = at(item, "metadata", "namespace")
    return f"{item.get('kind')} {namespace + '/' if namespace else ''}{at(item, 'metadata', 'name')}"


def template(item: Item) -> Item | None:
    """The pod that an object makes; None when it makes none."""
    path = TEMPLATES.get(str(item.get("kind")))
    return None if path is None else at(item, *path)


def containers(item: Item) -> list[Item]:
    """All containers of the pod an object makes, those that run before others included."""
    pod = template(item)
    return [one for key in ("initContainers", "containers") for one in at(pod, "spec", key) or ()]


def environment(container: Item) -> dict[str, str | None]:
    """Variables that stand in the pod itself; None where the value comes from elsewhere."""
    return {one["name"]: one.get("value") for one in container.get("env") or ()}


def number(value: Any) -> float | None:
    """A count as Kubernetes writes it (4, "4"); None when it is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def mebibytes(value: Any) -> float | None:
    """A quantity of memory in MiB; None when there is none."""
    units = {
        "Ki": 2**10,
        "Mi": 2**20,
        "Gi": 2**30,
        "Ti": 2**40,
        "k": 10**3,
        "M": 10**6,
        "G": 10**9,
        "T": 10**12,
    }
    text = str(value)
    for unit, size in units.items():
        if text.endswith(unit):
            amount = number(text.removesuffix(unit))
            return None if amount is None else amount * size / 2**20
    plain = number(value)
    return None if plain is None else plain / 2**20


def is_worker(item: Item) -> bool:
    """Whether an object makes pods that take calls, by its labels, its variables or its command."""
    pod = template(item)
    if pod is None:
        return False
    labels = at(pod, "metadata", "labels") or {}
    # A label says who is none, but nobody who takes calls hides behind it.
    named = (
        labels.get("app.kubernetes.io/name") == WORKER
        and labels.get("app.kubernetes.io/component") not in NO_WORKERS
    )
    return named or any(map(takes_calls, containers(item)))


def takes_calls(container: Item) -> bool:
    """Whether it runs a worker, whatever its pod is called."""
    words = [str(word) for key in ("command", "args") for word in container.get(key) or ()]
    return "AGENT_SLOTS" in environment(container) or "livekit.agents" in words


@dataclass(frozen=True)
class Stack:
    """All objects of a stack that are known yet."""

    items: tuple[Item, ...]

    def of(self, kind: str, namespace: str | None = None) -> Iterator[Item]:
        """Objects of a kind, of one namespace if it is named."""
        for item in self.items:
            if item.get("kind") == kind and namespace in (None, at(item, "metadata", "namespace")):
                yield item

    def workers(self, namespace: str) -> list[Item]:
        """What makes workers there."""
        return [
            item for item in self.items if is_worker(item) and at(item, "metadata", "namespace") == namespace
        ]

    def variables(self, container: Item, namespace: str) -> dict[str, str | None]:
        """A container's variables, those of its ConfigMaps included; as for the kubelet, `env` wins."""
        maps = {at(one, "metadata", "name"): at(one, "data") or {} for one in self.of("ConfigMap", namespace)}
        found: dict[str, str | None] = {}
        for source in container.get("envFrom") or ():
            found |= {
                key: str(value) for key, value in maps.get(at(source, "configMapRef", "name"), {}).items()
            }
        return found | environment(container)


def texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text in an object with the path to it."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from texts(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield from texts(inner, f"{path}[{index}]")
    elif isinstance(value, str):
        yield path, value


def joined(parts: Iterable[str]) -> str:
    """`a, b and c`."""
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last
