"""`render_chart(chart, values, show_only)`: a chart as the objects that helm would send to a cluster."""

from __future__ import annotations

import functools
import json
import pickle
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from infra.budget import solve
from infra.budget.capacity import capacity
from infra.budget.solution import Solution
from infra.config import StackConfig, load_config, parse_config
from infra.handoff.values import helm_values
from infra.supply.binaries import binary

ROOT = Path(__file__).parents[2]
CHARTS = ROOT / "charts"
STACKS = ROOT / "infra"
RELEASE, NAMESPACE = "test", "agents"
KUBE_VERSION = "1.34.4"

Object = dict[str, Any]
Stack = str | Path | Mapping[str, Any]
Budget = tuple[Solution, dict[str, dict[str, Any]]]
"""A solution, and the values of every chart that it sizes."""


class Refused(Exception):
    """helm did not render; the message is what it said."""


def render_chart(
    chart: str,
    values: Mapping[str, Any] | None = None,
    show_only: Sequence[str] = (),
    *,
    stack: Stack | None = "production",
    kube_version: str = KUBE_VERSION,
) -> list[Object]:
    """Render a chart of this project with the values that `make budget` writes for `stack`, and `values` over them.

    Args:
        values: like a further `-f` file: mappings are merged, everything else is replaced, None removes a key.
        show_only: templates to keep, such as `templates/deployment.yaml`.
        stack: `local` or `production` (the examples in infra/), a stack file, a stack config by section; None: none.

    Raises:
        Refused: a guard or the schema said no.
    """
    return objects(template(chart, values, show_only, stack=stack, kube_version=kube_version))


def objects(text: str) -> list[Object]:
    """The objects in what helm printed, the caller's own."""
    return list(pickle.loads(_parsed(text)))


@functools.lru_cache(maxsize=256)
def _parsed(text: str) -> bytes:
    """Parsed once: most of what these tests compute is YAML, and many look at the same scenario."""
    documents = YAML(typ="safe", pure=True).load_all(text)
    return pickle.dumps([document for document in documents if document is not None])


def render_one(chart: str, kind: str, values: Mapping[str, Any] | None = None, **options: Any) -> Object:
    """The chart's only object of a kind."""
    (found,) = (item for item in render_chart(chart, values, **options) if item["kind"] == kind)
    return found


def template(
    chart: str,
    values: Mapping[str, Any] | None = None,
    show_only: Sequence[str] = (),
    *,
    stack: Stack | None = "production",
    kube_version: str = KUBE_VERSION,
) -> str:
    """What `helm template` prints. Raises Refused."""
    shown = [option for name in show_only for option in ("--show-only", name)]
    return helm(["template", RELEASE], chart, values, shown, stack=stack, kube_version=kube_version)


def helm(
    command: Sequence[str],
    chart: str,
    values: Mapping[str, Any] | None = None,
    options: Sequence[str] = (),
    *,
    stack: Stack | None = "production",
    kube_version: str = KUBE_VERSION,
) -> str:
    """What a helm command says about a chart with these values. Raises Refused when it fails."""
    whole = [str(binary("helm")), *command, str(CHARTS / chart), "--namespace", NAMESPACE]
    whole += ["--kube-version", kube_version, *options]
    with tempfile.TemporaryDirectory() as directory:
        for index, layer in enumerate([solved_values(chart, stack), values or {}]):
            file = Path(directory, f"{index}.json")
            file.write_text(json.dumps(layer))
            whole += ["-f", str(file)]
        done = subprocess.run(whole, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(done.stdout + done.stderr)
    return done.stdout


def solved_values(chart: str, stack: Stack | None = "production") -> dict[str, Any]:
    """The chart's part of what `make budget VALUES=DIR` writes; empty for a chart that the budget does not size."""
    return {} if stack is None else deepcopy(_budget(stack)[1].get(chart, {}))


def solved(stack: Stack = "production") -> Solution:
    """The budget of an example in infra/, of a stack file, or of a stack config by section."""
    return _budget(stack)[0]


def _budget(stack: Stack) -> Budget:
    if isinstance(stack, str):
        stack = STACKS / f"Pulumi.{stack}.yaml"
    return _budget_of_file(stack) if isinstance(stack, Path) else _budget_of(parse_config(stack, "test"))


@functools.cache
def _budget_of_file(path: Path) -> Budget:
    return _budget_of(load_config(path))


def _budget_of(config: StackConfig) -> Budget:
    solution = solve(config)
    return solution, helm_values(solution, capacity(config))
