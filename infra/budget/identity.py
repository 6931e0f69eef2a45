"""The digest of the inputs, by which a budget is known."""

from __future__ import annotations

import hashlib
import json

from infra.budget.time import PROCESS_EXIT_SECONDS, SHUTDOWN_CALLBACKS_SECONDS
from infra.config import StackConfig


def digest(config: StackConfig) -> str:
    """16 hexadecimal digits over the inputs: the config, defaults included, the plans' numbers, and what the arithmetic
    took for granted and no longer does.
    """
    inputs = {
        "config": config.model_dump(mode="json", exclude={"deployment"}),
        "plans": {plan.name: [plan.limit, plan.family.reserved] for plan in config.plans},
        # After 0.1.0: a job's end has time for shutdown callbacks.
        "job_end": [SHUTDOWN_CALLBACKS_SECONDS, PROCESS_EXIT_SECONDS],
    }
    canonical = json.dumps(inputs, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
