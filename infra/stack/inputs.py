"""What Pulumi hands to the program: the stack's own config values."""

from __future__ import annotations

import json

from pulumi.runtime.config import CONFIG

from infra.config.problems import NAMESPACE


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
