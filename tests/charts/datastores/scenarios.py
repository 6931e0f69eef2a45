"""What the tables about MongoDB, Redis and LiveKit ask of a scenario of theirs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.budget.solution import Datastore, Solution
from infra.config.stackfile import read_stack_file
from tests.charts import scenarios
from tests.charts.render import CHARTS, Object, render_chart, solved


@dataclass(frozen=True)
class Scenario(scenarios.Scenario):
    """A scenario, its side of the budget, and what comes of it when something is changed."""

    @property
    def engine(self) -> str:
        """Which server it renders; "" for LiveKit, which has but one."""
        defaults = scenarios.read(CHARTS / self.chart / "values.yaml")
        return str(self.values.get("engine", defaults.get("engine", "")))

    @property
    def config(self) -> dict[str, Any]:
        """The stack it is solved for, by section."""
        assert isinstance(self.stack, Path)
        return dict(read_stack_file(self.stack)[0])

    @property
    def solution(self) -> Solution:
        return solved(self.stack)

    @property
    def datastore(self) -> Datastore:
        return self.solution.datastores[self.chart]

    def render(self, **values: Any) -> list[Object]:
        """The objects, with these top-level values over the scenario's (mappings are merged)."""
        return render_chart(self.chart, merged(self.values, values), stack=self.stack)

    def one(self, kind: str, **values: Any) -> Object:
        """The only object of a kind."""
        objects = self.render(**values) if values else self.objects()
        (found,) = (item for item in objects if item["kind"] == kind)
        return found

    def __str__(self) -> str:
        return f"{self.chart}-{self.name}"


ALL = [
    Scenario(one.chart, one.name)
    for one in scenarios.SCENARIOS
    if one.chart in ("mongodb", "redis", "livekit")
]


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """As helm merges values files."""
    result = dict(under)
    for key, value in over.items():
        below = result.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            result[key] = merged(below, value)
        else:
            result[key] = value
    return result


def pod_specs(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Every pod that these objects come to, by the name of its owner."""
    for item in objects:
        name, spec = f"{item['kind']}/{item['metadata'].get('name', '')}", item.get("spec", {})
        if item["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if "template" in spec:
            yield name, spec["template"]["spec"]


def containers(pod: Object) -> list[Object]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def container(pod: Object, name: str) -> Object:
    (found,) = (one for one in containers(pod) if one["name"] == name)
    return dict(found)
