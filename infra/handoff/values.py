"""The solved budget as values of each chart: what `make budget VALUES=DIR` writes, the Pulumi program installs and
tests render, all by `helm_values`.

    {"agent-worker": {"budget": {...}}, "mongodb": {"budget": {...}}, "redis": {"budget": {...}}, ...}

A `budget:` block has `digest` (of the inputs), `fits`, `warnings`, those sections of infra/budget/solution.py that the
chart needs, under the names they have there, and `seal`, a digest of all that. For the workers each datastore says how
it is reached, too (infra/datastores/): `ports`, `url_variable`, `dialled_by`, `part_of`. Charts compare and place these
figures; a block that was edited by hand no longer matches its seal and is refused. Everything else (images, Secrets,
addresses) is the user's, in values files of his own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from infra.budget.capacity import Room
from infra.budget.deployed import Deployed, NotFigures, figures
from infra.budget.solution import Solution
from infra.config import ConfigError, Problem
from infra.datastores import kind_of
from infra.handoff.environment import worker_environment
from infra.handoff.series import budget_series

Values = dict[str, Any]


def helm_values(solution: Solution, rooms: Sequence[Room]) -> dict[str, Values]:
    """The values of every chart that the budget sizes, by the chart's name (a folder of `charts/`).

    Args:
        rooms: what the datastores would take (`budget.capacity`), for the dashboard of capacity; without them
            its panels stay empty.
    """
    parts = asdict(solution)
    fleet, time, scaling, pod, datastores = (
        parts[name] for name in ("fleet", "time", "scaling", "pod", "datastores")
    )
    return {
        chart: {"budget": _sealed(solution, sections)}
        for chart, sections in {
            "agent-worker": {
                "fleet": fleet,
                "time": time,
                "scaling": scaling,
                "pod": pod,
                "datastores": {name: one | _reached(name) for name, one in datastores.items()},
                "environment": worker_environment(solution),
            },
            "mongodb": {"datastores": datastores},
            "redis": {"datastores": datastores},
            "monitoring": {
                "series": [one.as_dict() for one in budget_series(solution, rooms)],
                # What a node's exporter may hold, where there is such a consumer.
                "exporters": {
                    name: row.connections
                    for name, datastore in solution.datastores.items()
                    for row in datastore.rows
                    if row.kind == "consumer" and row.name == "exporter"
                },
            },
        }.items()
    }


def _reached(name: str) -> Values:
    """How workers reach it: what a chart would otherwise know of each datastore."""
    kind = kind_of(name)
    return {key: getattr(kind, key) for key in ("ports", "url_variable", "dialled_by", "part_of")}


def write_values(solution: Solution, directory: Path, rooms: Sequence[Room]) -> list[Path]:
    """Write `DIR/<chart>.yaml` for every chart; files that are there are replaced, each in one step.

    Raises:
        OSError: the directory cannot be made or written to.
    """
    directory.mkdir(parents=True, exist_ok=True)
    yaml = YAML()
    yaml.width = 120
    written = []
    for chart, values in helm_values(solution, rooms).items():
        path = directory / f"{chart}.yaml"
        unfinished = path.with_suffix(".yaml.new")
        with unfinished.open("w", encoding="utf-8") as file:
            file.write(
                f"# Written by `make budget`: the budget solved for charts/{chart}. Not for editing.\n"
            )
            yaml.dump(values, file)
        written.append(unfinished.rename(path))
    return written


def read_block(text: str, source: str) -> Deployed:
    """What the workers of these values were given: a values file of charts/agent-worker, of any version.

    Raises:
        ConfigError: it is none, or its block was changed by hand.
    """
    try:
        values = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError) as error:
        what = " ".join(str(error).split())[:120]
        raise ConfigError([Problem(source, "", f"not YAML: {what}")]) from None
    block = values.get("budget") if isinstance(values, dict) else None
    if not isinstance(block, dict):
        accepted = (
            "the values of charts/agent-worker, as `make budget VALUES=DIR` or `helm get values` write them"
        )
        raise ConfigError([Problem(source, "budget", f"missing; accepted: {accepted}")])
    # helm may print 1000000 as 1e+06.
    block = plain(block)
    if seal({key: value for key, value in block.items() if key != "seal"}) != block.get("seal"):
        raise ConfigError([Problem(source, "budget", "changed after it was solved: its seal does not match")])
    try:
        return figures(block)
    except NotFigures as error:
        text = f"{error}: the block of another chart; accepted: that of charts/agent-worker"
        raise ConfigError([Problem(source, "budget", text)]) from None


def seal(block: Mapping[str, Any]) -> str:
    """64 hexadecimal digits over a budget block, as a chart's `omit .Values.budget "seal" | toRawJson | sha256sum`."""
    text = json.dumps(block, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    # Go's encoder escapes these two whatever it is told: they end a line in JavaScript.
    text = text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return hashlib.sha256(text.encode()).hexdigest()


def _sealed(solution: Solution, sections: Mapping[str, Any]) -> Values:
    block: Values = plain(
        {"digest": solution.digest, "fits": solution.fits, "warnings": solution.warnings, **sections}
    )
    return block | {"seal": seal(block)}


def plain(value: Any) -> Any:
    """As YAML and Go have it: lists for tuples, 1 for 1.0; and no key without a value, which Pulumi would drop."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
