"""Workers: how many, how they are replaced, how long they may drain, and with which numbers they start."""

from __future__ import annotations

from collections.abc import Iterator

from infra.handoff.environment import worker_environment
from infra.policy.objects import (
    Item,
    Stack,
    at,
    containers,
    environment,
    is_worker,
    joined,
    mebibytes,
    name,
    number,
    takes_calls,
    template,
)
from infra.policy.rules import Expected, ItemRule, StackRule, in_cell


def counted(item: Item, expected: Expected) -> Iterator[str]:
    """Workers are one Deployment in a namespace of the stack: nothing else is counted."""
    if not is_worker(item):
        return
    if not in_cell(item, expected):
        yield f"makes workers outside of the stack's namespaces ({joined(expected.namespaces)}): no budget counts them"
    if item["kind"] != "Deployment":
        yield f"makes workers, but only a Deployment's replicas are counted: a {item['kind']} is not"


def replicas(item: Item, expected: Expected) -> Iterator[str]:
    """Never more workers than the promise needs."""
    most, given = expected.solution.fleet.max_replicas, number(at(item, "spec", "replicas"))
    if is_worker(item) and given is not None and given > most:
        yield f"spec.replicas is {given:.0f}, the budget counts {most} workers (fleet.jobs)"


def strategy(item: Item, expected: Expected) -> Iterator[str]:
    """Pods are replaced as the budget's spare was solved for."""
    if not is_worker(item) or item["kind"] != "Deployment":
        return
    fleet = expected.solution.fleet
    how = at(item, "spec", "strategy", "type") or "RollingUpdate"
    if how != "RollingUpdate":
        yield f"spec.strategy.type is {how}: every call would end at a rollout; accepted: RollingUpdate"
        return
    surge = at(item, "spec", "strategy", "rollingUpdate", "maxSurge")
    if number(surge) != fleet.surge:
        given = "missing (25 % then)" if surge is None else f"{surge}"
        yield f"maxSurge is {given}, the budget pays for {fleet.surge} (fleet.rolling.surge)"
    unavailable = at(item, "spec", "strategy", "rollingUpdate", "maxUnavailable")
    if number(unavailable) != 0:
        given = "missing (25 % then)" if unavailable is None else f"{unavailable}"
        yield f"maxUnavailable is {given}: a rollout would break the promise of {fleet.jobs} calls; accepted: 0"


def drain(item: Item, expected: Expected) -> Iterator[str]:
    """No call is killed within its time. How long the drain lasts is a variable: see environment rules."""
    if not is_worker(item):
        return
    time = expected.solution.time
    grace = number(at(template(item), "spec", "terminationGracePeriodSeconds"))
    if grace is None or grace < time.termination_grace_period_seconds:
        given = "missing (30 then)" if grace is None else f"{grace:.0f}"
        yield (
            f"terminationGracePeriodSeconds is {given}, preStop, drain and the jobs' end take "
            f"{time.termination_grace_period_seconds}"
        )
    for container in filter(takes_calls, containers(item)):
        pre_stop = number(at(container, "lifecycle", "preStop", "sleep", "seconds")) or 0
        if pre_stop > time.pre_stop_seconds:
            yield f"preStop sleeps {pre_stop:.0f} s, the grace period pays for {time.pre_stop_seconds}"
    deadline = number(at(item, "spec", "progressDeadlineSeconds"))
    if item["kind"] == "Deployment" and (deadline is None or deadline < time.progress_deadline_seconds):
        given = "missing (600 then)" if deadline is None else f"{deadline:.0f}"
        yield f"progressDeadlineSeconds is {given}, a rollout may take {time.progress_deadline_seconds}"


def memory(item: Item, expected: Expected) -> Iterator[str]:
    """A worker has the memory of all its jobs, so that none is killed when it is full."""
    need = expected.solution.pod.memory_mib
    for container in filter(takes_calls, containers(item)) if is_worker(item) else ():
        for kind in ("requests", "limits"):
            given = mebibytes(at(container, "resources", kind, "memory"))
            if given is None or given < need:
                shown = "missing" if given is None else f"{given:.0f} MiB"
                yield f"resources.{kind}.memory is {shown}, a full worker needs {need} MiB (fleet.pod)"


def numbers(item: Item, expected: Expected) -> Iterator[str]:
    """Whatever carries a variable of the budget carries the budget's value."""
    if not in_cell(item, expected):
        return
    solved = worker_environment(expected.solution)
    given: dict[str, str | None] = {}
    if item.get("kind") == "ConfigMap":
        given = {key: str(value) for key, value in (at(item, "data") or {}).items()}
    for container in containers(item):
        given |= environment(container)
    for variable, value in given.items():
        if variable in solved and value != solved[variable]:
            shown = "from elsewhere, where nobody can compare it" if value is None else value
            yield f"{variable} is {shown}, the budget solved {solved[variable]}"


def complete(stack: Stack, namespace: str, expected: Expected) -> Iterator[tuple[Item | None, str]]:
    """A worker starts with every number of the budget: what is missing is a default that nobody counted."""
    solved = worker_environment(expected.solution)
    for item in stack.workers(namespace):
        for container in filter(takes_calls, containers(item)):
            given = stack.variables(container, namespace)
            if missing := [variable for variable in solved if variable not in given]:
                yield (
                    item,
                    f"{joined(missing)} missing from the worker's variables: its pools would be unbounded",
                )


def one_fleet(stack: Stack, namespace: str, expected: Expected) -> Iterator[tuple[Item | None, str]]:
    """One fleet a cell: the budget pays for one."""
    workers = stack.workers(namespace)
    if len(workers) > 1:
        yield (
            None,
            (
                f"namespace {namespace} has {len(workers)} fleets ({joined(map(name, workers))}), the budget pays for "
                f"one of {expected.solution.fleet.workers_at_peak} pods: give each a cell (fleet.cells)"
            ),
        )
    if not workers:
        yield None, f"namespace {namespace} has no fleet"


ITEM_RULES = (
    ItemRule("workers-are-counted", "Workers are one Deployment in the stack's namespaces.", counted),
    ItemRule("replicas-within-budget", "No more workers than the promise needs.", replicas),
    ItemRule("rolling-as-solved", "Pods are replaced as the spare was solved for.", strategy),
    ItemRule("drain-fits", "No call is killed within its time.", drain),
    ItemRule("memory-of-all-jobs", "A full worker has the memory it needs.", memory),
    ItemRule("numbers-as-solved", "Variables carry the budget's values.", numbers),
)
STACK_RULES = (
    StackRule("numbers-complete", "Workers start with every number of the budget.", complete),
    StackRule("one-fleet", "One fleet a cell.", one_fleet),
)
