"""The figures of a runbook page: the alert as it is, and what it compares with for the example stacks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from infra.budget import solve
from infra.budget.capacity import capacity
from infra.budget.solution import grouped
from infra.config import load_config
from infra.handoff.series import PREFIX, Series, budget_series
from infra.monitoring.rules import RUNBOOKS, alert_files, read

STACKS = Path(__file__).resolve().parents[1]
EXAMPLES = {name: STACKS / f"Pulumi.{name}.yaml" for name in ("local", "production")}
BEGIN, END = "<!-- figures: by `make docs`, from the alert and the solver -->", "<!-- /figures -->"


def pages() -> dict[Path, str]:
    """Every page as it should be: the prose that is there, with fresh figures."""
    examples = {name: _series(file) for name, file in EXAMPLES.items()}
    found = {}
    for file in alert_files():
        page = RUNBOOKS / f"{file.stem}.md"
        if page.exists():
            before, _, rest = page.read_text().partition("<!-- figures")
            found[page] = before + _figures(file, examples) + rest.partition(END)[2]
    return found


def _series(file: Path) -> tuple[Series, ...]:
    config = load_config(file)
    return budget_series(solve(config), capacity(config))


def _figures(file: Path, examples: Mapping[str, tuple[Series, ...]]) -> str:
    alert = read(file)
    when = f"after {alert['for']}" if "for" in alert else "at once"
    lines = [
        BEGIN,
        f"**{alert['labels']['severity']}**, fires {when}:",
        "",
        "```promql",
        alert["expr"].strip(),
        "```",
    ]
    said = alert["expr"] + alert["annotations"]["description"]
    names = [name for name in dict.fromkeys(re.findall(rf"{PREFIX}(\w+)", said)) if _meaning(name, examples)]
    if names:
        lines += ["", f"| the budget's figure | {' | '.join(examples)} |", f"|---|{'---:|' * len(examples)}"]
        lines += [
            f"| {_meaning(name, examples)} (`{PREFIX}{name}`) | {_row(name, examples)} |" for name in names
        ]
    return "\n".join([*lines, END])


def _meaning(name: str, examples: Mapping[str, tuple[Series, ...]]) -> str:
    return next((one.meaning for series in examples.values() for one in series if one.name == name), "")


def _row(name: str, examples: Mapping[str, tuple[Series, ...]]) -> str:
    return " | ".join(
        ", ".join(" ".join([*one.labels.values(), grouped(one.value)]) for one in series if one.name == name)
        for series in examples.values()
    )
