"""The rules of `charts/monitoring` for the budget that the tests of the alerts are written for."""

from __future__ import annotations

import json
from pathlib import Path

from infra.budget import solve
from infra.budget.capacity import capacity
from infra.config import load_config
from infra.handoff.series import budget_series
from infra.monitoring.rules import rule_file

HERE = Path(__file__).parent


def write_rules(directory: Path, stack: Path = HERE / "stack.yaml") -> Path:
    """Write `rules.yaml`, which the tests beside it name."""
    config = load_config(stack)
    series = budget_series(solve(config), capacity(config))
    path = directory / "rules.yaml"
    path.write_text(json.dumps(rule_file(series, "test"), indent=1))
    return path
