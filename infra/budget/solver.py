"""Solves the budget: every part from its module, put together."""

from __future__ import annotations

from infra.budget.datastores import datastores_of
from infra.budget.fleet import fleet_of
from infra.budget.identity import digest
from infra.budget.pod import pod_of
from infra.budget.rolling import rolling_options
from infra.budget.scaling import scaling_of
from infra.budget.solution import Solution
from infra.budget.time import time_of
from infra.budget.warnings import warnings_of
from infra.config import StackConfig


def solve(config: StackConfig) -> Solution:
    """Solves the budget. A config that does not fit is solved too, with `fits` False; nothing is raised."""
    fleet = fleet_of(config.fleet)
    time = time_of(config.fleet, fleet)
    datastores = datastores_of(config, fleet)
    return Solution(
        digest=digest(config),
        fits=all(datastore.fits for datastore in datastores.values()),
        fleet=fleet,
        time=time,
        scaling=scaling_of(config.fleet, fleet, time),
        pod=pod_of(config.fleet, fleet),
        datastores=datastores,
        rolling_options=rolling_options(config),
        warnings=tuple(warnings_of(config, time, fleet)),
    )
