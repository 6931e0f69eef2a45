"""The scenarios of charts/{mongodb,redis,livekit}: `ci/NAME-values.yaml`, each solved for `ci/NAME-stack.yaml` or else
`ci/stack.yaml`."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from infra.solution import Datastore, Solution
from infra.stackfile import read_stack_file
from tests.charts.render import CHARTS, Object, render_chart, solved

Stack = dict[str, Any]


@dataclass(frozen=True)
class Scenario:
    """One values file of a chart, and the stack it is rendered for."""

    chart: str
    name: str

    @property
    def values(self) -> dict[str, Any]:
        return _read(CHARTS / self.chart / "ci" / f"{self.name}-values.yaml")

    @property
    def engine(self) -> str:
        default: str = _read(CHARTS / self.chart / "values.yaml").get("engine", "")
        return str(self.values.get("engine", default))

    @property
    def stack(self) -> Stack:
        folder = CHARTS / self.chart / "ci"
        files = [folder / f"{self.name}-stack.yaml", folder / "stack.yaml"]
        found = next((file for file in files if file.exists()), None)
        return dict(read_stack_file(found)[0]) if found else {}

    @property
    def solution(self) -> Solution:
        return solved(self.stack)

    @property
    def datastore(self) -> Datastore:
        return self.solution.datastores[self.chart]

    def render(self, **values: Any) -> list[Object]:
        """The objects, with these top-level values over the scenario's (mappings are merged)."""
        return render_chart(self.chart, merged(self.values, values), stack=self.stack or "production")

    def objects(self) -> list[Object]:
        """The objects as they are, rendered once for all tests: not to be changed."""
        return _rendered(self)

    def one(self, kind: str, **values: Any) -> Object:
        """The only object of a kind."""
        objects = self.render(**values) if values else self.objects()
        (found,) = (item for item in objects if item["kind"] == kind)
        return found

    def __str__(self) -> str:
        return f"{self.chart}-{self.name}"


def scenarios(*charts: str) -> list[Scenario]:
    """Every scenario of these charts."""
    return [
        Scenario(chart, file.name.removesuffix("-values.yaml"))
        for chart in charts
        for file in sorted((CHARTS / chart / "ci").glob("*-values.yaml"))
    ]


@functools.cache
def _rendered(scenario: Scenario) -> list[Object]:
    return scenario.render()


ALL = scenarios("mongodb", "redis", "livekit")


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


def _read(file: Path) -> dict[str, Any]:
    return dict(YAML(typ="safe").load(file) or {})
