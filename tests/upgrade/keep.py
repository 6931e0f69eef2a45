"""Keeps what a release writes, so that later versions are held against it.

Run once a release, by that release's code: `PYTHONPATH=. python FILE FOLDER` in its tree. test_from.py says what is
done with the three files that it writes:

    stacks.json   per stack: its config, the records and the resources that the program registers, the objects that
                  reach the cluster, the budget block that its workers were given
    charts.json   per scenario of each chart (charts/*/ci): the values as helm had them, and the objects
    names.json    what people and other programs know by name: metrics, rules and alerts, a chart's keys, variables
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pulumi.runtime.mocks import MockMonitor
from ruamel.yaml import YAML

from agent.runtime import metrics
from infra.config.stackfile import read_stack_file
from infra.stack.components.charts import merged
from tests.charts.render import CHARTS, solved_values
from tests.charts.scenarios import SCENARIOS
from tests.infra.stack import KIND, SECRETS, changed, deploy, rendered

LONGEST = 200
PRODUCTION = read_stack_file(CHARTS.parent / "infra" / "Pulumi.production.yaml")[0]
OWN_FLEET = {"jobs": 8, "slots": 4, "max_call_seconds": 60, "worker_start_seconds": 60}
STACKS: dict[str, tuple[dict[str, Any], Mapping[str, str]]] = {
    "kind": (changed({"deployment.monitoring": True}, KIND | {"fleet": OWN_FLEET}), SECRETS),
    "cells": (changed({"fleet.cells": 2}, KIND | {"fleet": OWN_FLEET}), SECRETS),
    "production": (PRODUCTION, {}),
    "strict": (changed({"fleet.rolling": {"mode": "strict"}, "redis.pubsub": 1}, PRODUCTION), {}),
}


def keep(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, found in (("stacks", stacks()), ("charts", charts()), ("names", names())):
        lines = (f"{json.dumps(key)}: {json.dumps(value, sort_keys=True)}" for key, value in found.items())
        Path(folder, f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def stacks() -> dict[str, Any]:
    return {name: stack(values, secrets) for name, (values, secrets) in STACKS.items()}


def stack(values: dict[str, Any], secrets: Mapping[str, str]) -> dict[str, Any]:
    deployed, resources = registered(values, secrets)
    blocks = {
        name: given["budget"] for name, given in deployed.recorded.charts().items() if "agent-worker" in name
    }
    records = {
        one.inputs["metadata"]["namespace"]: one.inputs["data"]
        for one in deployed.recorded.resources
        if one.typ.endswith(":ConfigMap") and one.name.endswith("-agent-budgets")
    }
    return {
        "config": values,
        "records": records,
        "blocks": blocks,
        "resources": resources,
        "objects": [short(one) for one in rendered(values, secrets=secrets)],
    }


def registered(values: dict[str, Any], secrets: Mapping[str, str]) -> tuple[Any, list[dict[str, Any]]]:
    """What the program did, and the resources it registered: URN (whole type `::` name) and aliases."""
    types: dict[str, str] = {}
    found: list[dict[str, Any]] = []
    register = MockMonitor.RegisterResource

    def noted(monitor: MockMonitor, request: Any) -> Any:
        answer = register(monitor, request)  # type: ignore[no-untyped-call]
        above = types.get(request.parent, "")
        whole = f"{above}${request.type}" if above else request.type
        if request.type != "pulumi:pulumi:Stack":
            types[answer.urn] = whole
            aliases = [
                f"{types.get(one.spec.parentUrn, above)}${one.spec.type or request.type}".lstrip("$")
                + f"::{one.spec.name or request.name}"
                for one in request.aliases
            ]
            found.append({"urn": f"{whole}::{request.name}", "aliases": aliases})
        return answer

    with patch.object(MockMonitor, "RegisterResource", noted):
        deployed = deploy(values, secrets=secrets)
    return deployed, sorted(found, key=lambda one: str(one["urn"]))


def charts() -> dict[str, Any]:
    return {
        f"{one.chart}-{one.name}": {
            "chart": one.chart,
            "values": merged(solved_values(one.chart, one.stack), one.values),
            "objects": [short(item) for item in one.objects()],
        }
        for one in SCENARIOS
    }


def names() -> dict[str, Any]:
    rules = [rule for one in SCENARIOS for item in one.objects() for rule in rules_of(item)]
    variables = {variable for one in SCENARIOS for item in one.objects() for variable in variables_of(item)}
    return {
        "metrics": sorted({one._name for one in vars(metrics).values() if hasattr(one, "_labelnames")}),
        "rules": sorted({rule.get("record") or rule.get("alert") for rule in rules}),
        "variables": sorted(variables),
        "values": {
            path.parent.name: sorted(paths(YAML(typ="safe").load(path)))
            for path in sorted(CHARTS.glob("*/values.yaml"))
        },
    }


def rules_of(item: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if item["kind"] == "PrometheusRule":
        for group in item["spec"]["groups"]:
            yield from group["rules"]


def variables_of(item: Mapping[str, Any]) -> Iterable[str]:
    is_workers = item["metadata"].get("labels", {}).get("app.kubernetes.io/name") == "agent-worker"
    return item["data"] if item["kind"] == "ConfigMap" and is_workers else ()


def paths(values: Any, above: str = "") -> Iterator[str]:
    """Keys as one writes them: `scaling.hpa.rule`."""
    for key, value in (values or {}).items():
        path = f"{above}.{key}".lstrip(".")
        yield path
        if isinstance(value, dict):
            yield from paths(value, path)


def short(value: Any) -> Any:
    """Long texts (dashboards, configuration files) by their digest; of Secrets nothing but their names."""
    if isinstance(value, Mapping):
        return {key: short(inner) for key, inner in value.items() if key != "stringData"}
    if isinstance(value, list):
        return [short(inner) for inner in value]
    if isinstance(value, str) and len(value) > LONGEST:
        return f"sha256:{hashlib.sha256(value.encode()).hexdigest()}"
    return value


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
