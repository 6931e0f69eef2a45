"""Who sets the number of workers, and the quota that holds it whatever happens."""

from __future__ import annotations

from collections.abc import Iterator

from infra.policy.objects import Item, Stack, at, is_worker, joined, name, number, template
from infra.policy.rules import Expected, ItemRule, StackRule, in_cell

SCALERS = {"HorizontalPodAutoscaler": "maxReplicas", "ScaledObject": "maxReplicaCount"}


def scaler(item: Item, expected: Expected) -> Iterator[str]:
    """A scaler stops at what the budget counts, and takes workers away no faster than the spare pays for."""
    key = SCALERS.get(str(item.get("kind")))
    if not key or not in_cell(item, expected):
        return
    fleet, scaling = expected.solution.fleet, expected.solution.scaling
    most = number(at(item, "spec", key))
    if most is None or most > fleet.max_replicas:
        given = "missing (100 then)" if most is None else f"{most:.0f}"
        yield f"spec.{key} is {given}, the budget counts {fleet.max_replicas} workers (fleet.jobs)"
    behavior = (
        at(item, "spec", "behavior")
        or at(item, "spec", "advanced", "horizontalPodAutoscalerConfig", "behavior")
        or {}
    )
    down = at(behavior, "scaleDown") or {}
    if down.get("selectPolicy") == "Disabled":
        return
    policies = down.get("policies") or ()
    if not policies:
        yield "no scaleDown policy: all workers could drain at once, beside those that replace them"
    for policy in policies:
        value, period = number(policy.get("value")), number(policy.get("periodSeconds"))
        slow = period is not None and period >= scaling.scale_down_period_seconds
        few = value is not None and value <= scaling.scale_down_pods and policy.get("type") == "Pods"
        if not (slow and few):
            yield (
                f"scaleDown takes {policy.get('value')} {policy.get('type')} in {policy.get('periodSeconds')} s, the "
                f"spare pays for {scaling.scale_down_pods} Pods in {scaling.scale_down_period_seconds} s"
            )


def disruptions(item: Item, expected: Expected) -> Iterator[str]:
    """Evictions take no more workers at once than the spare pays for."""
    if item.get("kind") != "PodDisruptionBudget" or not in_cell(item, expected):
        return
    labels = at(item, "spec", "selector", "matchLabels") or {}
    if labels.get("app.kubernetes.io/name") != "agent-worker":
        return
    most, given = expected.solution.scaling.max_unavailable, at(item, "spec", "maxUnavailable")
    if number(given) is None or float(given) > most:
        shown = "missing" if given is None else f"{given}"
        yield f"spec.maxUnavailable is {shown}, the spare pays for {most} evictions at once"


def priority(item: Item, expected: Expected) -> Iterator[str]:  # noqa: ARG001
    """Only workers have the workers' PriorityClass: the quota counts whoever has it."""
    if item.get("kind") == "PriorityClass" and at(item, "globalDefault") is True:
        yield "globalDefault is true: pods of anybody would be counted as workers, and the quota be full of them"


def one_scaler(stack: Stack, namespace: str, expected: Expected) -> Iterator[tuple[Item | None, str]]:  # noqa: ARG001
    """One owner of `replicas`: two pull against each other."""
    for worker in stack.workers(namespace):
        fleet = at(worker, "metadata", "name")
        owners = [
            one
            for kind in SCALERS
            for one in stack.of(kind, namespace)
            if at(one, "spec", "scaleTargetRef", "name") == fleet
        ]
        if len(owners) > 1:
            yield worker, f"is scaled by {joined(map(name, owners))}: accepted is one"
        if owners and at(worker, "spec", "replicas") is not None:
            yield (
                worker,
                f"spec.replicas is set, but {name(owners[0])} sets the number of workers: leave it out",
            )


def quota(stack: Stack, namespace: str, expected: Expected) -> Iterator[tuple[Item | None, str]]:
    """Workers are covered by a quota on pods, by their PriorityClass, of exactly the budget's number."""
    peak = expected.solution.fleet.quota_pods
    quotas = {
        at(
            expression,
            "values",
        )
        and tuple(at(expression, "values")): one
        for one in stack.of("ResourceQuota", namespace)
        for expression in at(one, "spec", "scopeSelector", "matchExpressions") or ()
        if expression.get("scopeName") == "PriorityClass" and expression.get("operator") == "In"
    }
    for worker in stack.workers(namespace):
        priority_class = at(template(worker), "spec", "priorityClassName")
        if priority_class is None:
            yield worker, f"has no priorityClassName: no quota counts its pods, {peak} at the peak"
            continue
        covering = [one for classes, one in quotas.items() if classes and priority_class in classes]
        if not covering:
            yield (
                worker,
                f"no ResourceQuota counts pods of the PriorityClass {priority_class}: the last line is missing",
            )
        for one in covering:
            pods = number(at(one, "spec", "hard", "pods"))
            if pods != peak:
                given = "missing" if pods is None else f"{pods:.0f}"
                yield one, f"spec.hard.pods is {given}, the budget solved {peak} workers at the peak"
    for other in stack.items:
        pod = template(other)
        classes = {
            at(template(worker), "spec", "priorityClassName") for worker in stack.workers(namespace)
        } - {None}
        if pod and not is_worker(other) and at(pod, "spec", "priorityClassName") in classes:
            yield (
                other,
                "has the workers' PriorityClass: its pods would take the places of workers in their quota",
            )


ITEM_RULES = (
    ItemRule("scaler-within-budget", "A scaler stops at what the budget counts.", scaler),
    ItemRule("evictions-within-spare", "Evictions take no more than the spare pays for.", disruptions),
    ItemRule("priority-is-the-workers", "Only workers have their PriorityClass.", priority),
)
STACK_RULES = (
    StackRule("one-scaler", "One owner of the number of workers.", one_scaler),
    StackRule("quota-covers-workers", "A ResourceQuota counts the workers.", quota),
)
