"""What Pulumi hands to the program, the stack's own config values, and what it gets back, the budget in figures."""

from __future__ import annotations

import json
from dataclasses import asdict

from pulumi.runtime.config import CONFIG

from infra.problems import NAMESPACE
from infra.solution import Solution


def stack_values() -> dict[str, object]:
    """Values under our namespace by short key. Pulumi gives structured ones as JSON, plain ones as text."""
    prefix = f"{NAMESPACE}:"
    return {
        key.removeprefix(prefix): _parsed(text)
        for key, text in CONFIG.get().items()
        if key.startswith(prefix)
    }


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def summary(solution: Solution) -> dict[str, object]:
    """The budget's figures as an output: what a cell has, and what each server may see."""
    names = ("plan", "limit", "total", "reserve", "connections_per_worker")
    return {
        "digest": solution.digest,
        "fits": solution.fits,
        "fleet": asdict(solution.fleet),
        "time": asdict(solution.time),
        "datastores": {
            key: {name: getattr(one, name) for name in names} for key, one in solution.datastores.items()
        },
    }
