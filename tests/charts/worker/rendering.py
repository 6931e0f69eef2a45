"""The agent-worker chart with the values of one of its scenarios, and a test's own over them."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from infra.budget.solution import Solution
from tests.charts.render import Object, render_chart, solved
from tests.charts.scenarios import Scenario


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """As helm merges value files: mappings key by key, everything else as a whole; None takes a key out."""
    result = dict(base)
    for key, value in over.items():
        if value is None and key in base:
            del result[key]
        elif isinstance(value, Mapping) and isinstance(base.get(key), Mapping):
            result[key] = merged(base[key], value)
        else:
            result[key] = value
    return result


def render(
    values: Mapping[str, Any] | None = None, scenario: str = "default", **options: Any
) -> list[Object]:
    """All objects. `stack=` solves another budget than the scenario's."""
    chosen = Scenario("agent-worker", scenario)
    options.setdefault("stack", chosen.stack)
    return render_chart("agent-worker", merged(chosen.values, values or {}), **options)


def one(objects: list[Object], kind: str) -> Object:
    """The only object of a kind."""
    (found,) = (item for item in objects if item["kind"] == kind)
    return found


def rendered(
    kind: str, values: Mapping[str, Any] | None = None, scenario: str = "default", **options: Any
) -> Object:
    return one(render(values, scenario, **options), kind)


@functools.cache
def as_it_is(scenario: str = "default") -> list[Object]:
    """A scenario's objects, rendered once: not to be changed."""
    return render(scenario=scenario)


def budget(scenario: str = "default") -> Solution:
    """What the scenario is solved for."""
    return solved(Scenario("agent-worker", scenario).stack)


def kinds(objects: list[Object]) -> set[str]:
    return {item["kind"] for item in objects}


def pod(objects: list[Object]) -> dict[str, Any]:
    """The pod spec of the workers."""
    spec: dict[str, Any] = one(objects, "Deployment")["spec"]["template"]["spec"]
    return spec


def worker(objects: list[Object]) -> dict[str, Any]:
    """The worker's container."""
    (container,) = pod(objects)["containers"]
    found: dict[str, Any] = container
    return found
