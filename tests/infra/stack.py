"""The Pulumi program under mocks: which resources it registers, with which inputs, from a stack config in memory."""

from __future__ import annotations

import asyncio
import json
import runpy
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pulumi
from kubernetes.client import V1ObjectMeta
from pulumi.runtime import MockCallArgs, MockResourceArgs, Mocks, set_all_config, set_mocks

from infra.kind import pulumi_stack
from infra.stack import program
from infra.stack.running import Running
from tests.infra.charts import render

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = str(ROOT / "infra")
CHART = "kubernetes:helm.sh/v4:Chart"

# Pulumi makes its futures in the main thread's current loop, of which an earlier test may have left none, and never
# closes the loops it makes in that loop's own threads: so one, for as long as the tests run.
LOOP = asyncio.new_event_loop()

Values = dict[str, Any]

KIND: Values = {
    "fleet": {"jobs": 8, "slots": 4, "max_call_seconds": 60, "worker_start_seconds": 60},
    "mongodb": {
        "consumers": {
            "indexes": {"processes": 1, "connections": 3},
            "probes": {"processes": 1, "connections": 1},
        }
    },
    "redis": {"consumers": {"probes": {"processes": 1, "connections": 1}}},
    "deployment": {"namespace": "agents", "livekit": "development", "image": {"tag": "dev"}},
}
SECRETS = {key: f"hidden-{key.partition(':')[2]}/?" for key in pulumi_stack.SECRETS}


@dataclass
class Recorded(Mocks):
    """Every resource as it was registered."""

    resources: list[MockResourceArgs] = field(default_factory=list)

    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.resources.append(args)
        return f"{args.name}-id", dict(args.inputs)

    def call(self, args: MockCallArgs) -> tuple[dict[str, Any], None]:  # noqa: ARG002
        return {}, None

    def named(self, kind: str, name: str) -> dict[str, Any]:
        """The inputs of one resource by the last part of its type, and its name."""
        (found,) = (one for one in self.resources if one.typ.endswith(kind) and one.name == name)
        return dict(found.inputs)

    def charts(self) -> dict[str, Values]:
        """The values of every chart, by the resource's name."""
        return {one.name: whole(one.inputs["values"]) for one in self.resources if one.typ == CHART}


def whole(value: Any) -> Any:
    """Pulumi's wire knows one kind of number."""
    if isinstance(value, Mapping):
        return {key: whole(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [whole(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


@dataclass
class Deployed:
    """What the program did."""

    recorded: Recorded
    outputs: dict[str, Any]


def config_of(values: Mapping[str, Any], secrets: Mapping[str, str] = SECRETS) -> dict[str, str]:
    """As Pulumi hands a stack's config over."""
    ours = {f"agent-datastores:{key}": json.dumps(value) for key, value in values.items()}
    return ours | dict(secrets)


def changed(changes: Mapping[str, Any], base: Values = KIND) -> Values:
    """The base with some dotted keys changed; None takes a key out."""
    values = deepcopy(base)
    for key, value in changes.items():
        *parents, last = key.split(".")
        inside = values
        for parent in parents:
            inside = inside.setdefault(parent, {})
        if value is None:
            inside.pop(last, None)
        else:
            inside[last] = value
    return values


def deploy(
    values: Mapping[str, Any],
    *,
    secrets: Mapping[str, str] = SECRETS,
    runs: Mapping[str, Running] | None = None,
    others: Mapping[str, V1ObjectMeta] | None = None,
) -> Deployed:
    """Runs the program. Raises pulumi.RunError when it refuses.

    Args:
        runs: what each namespace holds already.
        others: metadata of Secrets that are there, by `NAMESPACE/NAME`.
    """
    recorded = Recorded()
    outputs: dict[str, Any] = {}

    def look(_: str | None, namespace: str) -> Running:
        return (runs or {}).get(namespace, Running())

    def secrets_there(_: str | None, namespace: str, names: Iterable[str]) -> dict[str, V1ObjectMeta]:
        there = {name: (others or {}).get(f"{namespace}/{name}") for name in names}
        return {name: metadata for name, metadata in there.items() if metadata}

    asyncio.set_event_loop(LOOP)
    try:
        set_mocks(recorded, project="agent-datastores", stack="test")
        set_all_config(config_of(values, secrets), list(secrets))
        run = pulumi.runtime.test(lambda: runpy.run_path(PROGRAM, run_name="__main__") and None)  # type: ignore[no-untyped-call]
        with (
            patch.object(program, "look", look),
            patch.object(program, "secrets_there", secrets_there),
            patch.object(pulumi, "export", outputs.__setitem__),
        ):
            run()
    finally:
        asyncio.set_event_loop(None)
    return Deployed(recorded, outputs)


def rendered(values: Mapping[str, Any], **options: Any) -> list[dict[str, Any]]:
    """Every object of a stack as it would reach the cluster: the program's own, and those of its charts."""
    recorded = deploy(values, **options).recorded
    items = []
    for one in recorded.resources:
        if one.typ == CHART:
            items += [
                item
                | {
                    "pulumiType": f"kubernetes:{item['apiVersion']}:{item['kind']}",
                    "urn": f"{CHART}${one.name}",
                }
                for item in render({"chart": f"{PROGRAM}/{one.inputs['chart']}", **_release(one.inputs)})
            ]
        elif one.typ.startswith("kubernetes:") and "kind" in one.inputs:
            items.append(dict(one.inputs) | {"pulumiType": one.typ, "urn": one.name})
    return items


def _release(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {key: whole(value) for key, value in inputs.items() if key != "chart"}
