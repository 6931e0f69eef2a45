"""The scenarios of every chart: `charts/<chart>/ci/<name>-values.yaml`, each with the budget it is solved for.

That is `ci/<name>-stack.yaml`, else `ci/stack.yaml`, else the stack of this machine.
"""

from __future__ import annotations

import functools
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.charts.render import CHARTS, KUBE_VERSION, Object, Stack, objects, template

SUFFIX = "-values.yaml"


@dataclass(frozen=True)
class Scenario:
    """One way to install a chart."""

    chart: str
    name: str

    @property
    def folder(self) -> Path:
        return CHARTS / self.chart / "ci"

    @property
    def values(self) -> dict[str, Any]:
        return deepcopy(read(self.folder / f"{self.name}{SUFFIX}"))

    @property
    def stack(self) -> Stack:
        files = (self.folder / f"{self.name}-stack.yaml", self.folder / "stack.yaml")
        return next((file for file in files if file.exists()), "local")

    def template(self, kube_version: str = KUBE_VERSION) -> str:
        return template(self.chart, self.values, stack=self.stack, kube_version=kube_version)

    @functools.cache  # noqa: B019  # there are as many as files
    def rendered(self, kube_version: str = KUBE_VERSION) -> str:
        """As `template`, once."""
        return self.template(kube_version)

    def objects(self) -> list[Object]:
        return objects(self.rendered())


@functools.cache
def read(file: Path) -> dict[str, Any]:
    """A values file, parsed once (every process that runs tests reads dozens while it collects them): not to be
    changed."""
    return YAML(typ="safe").load(file) or {}


SCENARIOS = [
    Scenario(file.parents[1].name, file.name.removesuffix(SUFFIX))
    for file in sorted(CHARTS.glob(f"*/ci/*{SUFFIX}"))
]
every_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: f"{s.chart}-{s.name}")
every_chart = pytest.mark.parametrize(
    "chart", sorted(path.parent.name for path in CHARTS.glob("*/Chart.yaml"))
)
