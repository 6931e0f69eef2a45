"""values.schema.json is closed and says what every key is for; values.yaml says the same to helm-docs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.charts.render import CHARTS

CHARTS_HERE = ("mongodb", "redis", "livekit")
# What Kubernetes, an operator or the budget defines is described there; `global` is Helm's.
ELSEWHERE = {
    "budget",
    "budget.datastores",
    "operator.backup.storage",
    "global",
    "nodeSelector",
    "extraLabels",
}


def schema(chart: str) -> dict[str, Any]:
    return dict(json.loads((CHARTS / chart / "values.schema.json").read_text()))


def keys(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every key of a schema by its dotted path."""
    for name, inner in node.get("properties", {}).items():
        here = f"{path}.{name}".lstrip(".")
        yield here, inner
        yield from keys(inner, here)


@pytest.mark.parametrize("chart", CHARTS_HERE)
def test_every_key_is_described(chart: str) -> None:
    assert not [path for path, node in keys(schema(chart)) if not node.get("description")]


@pytest.mark.parametrize("chart", CHARTS_HERE)
def test_every_mapping_is_closed(chart: str) -> None:
    open_ones = {
        path
        for path, node in keys(schema(chart))
        if node.get("type") == "object" and node.get("additionalProperties") is not False
    }
    assert {path for path in open_ones if not path.endswith("resources")} <= ELSEWHERE


@pytest.mark.parametrize("chart", CHARTS_HERE)
def test_the_schema_and_the_defaults_know_the_same_keys(chart: str) -> None:
    values = YAML(typ="safe").load(CHARTS / chart / "values.yaml")
    described = {path for path, _ in keys(schema(chart)) if not path.startswith(("budget.", "global"))}
    assert set(paths(values, described)) == described


def paths(values: dict[str, Any], known: set[str], path: str = "") -> Iterator[str]:
    """Every key of values, down to where the schema stops."""
    for name, inner in values.items():
        here = f"{path}.{name}".lstrip(".")
        if path and not any(key.startswith(f"{path}.") for key in known):
            return
        yield here
        if isinstance(inner, dict):
            yield from paths(inner, known, here)
