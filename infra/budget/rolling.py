"""What each way of rolling would cost."""

from __future__ import annotations

from infra.budget.datastores import datastores_of
from infra.budget.fleet import fleet_of
from infra.budget.solution import RollingOption
from infra.budget.time import time_of
from infra.config import FastRolling, StackConfig, StrictRolling


def rolling_options(config: StackConfig) -> tuple[RollingOption, ...]:
    """The chosen way and the other, each solved."""
    chosen = config.fleet.rolling
    ways: list[FastRolling | StrictRolling] = [
        FastRolling(mode="fast", surge=chosen.surge),
        StrictRolling(mode="strict", surge=chosen.surge),
    ]
    options = []
    for way in ways:
        rolling = chosen if chosen.mode == way.mode else way
        fleet_config = config.fleet.model_copy(update={"rolling": rolling})
        fleet = fleet_of(fleet_config)
        datastores = datastores_of(config, fleet)
        options.append(
            RollingOption(
                mode=rolling.mode,
                chosen=rolling is chosen,
                surge=rolling.surge,
                workers_at_peak=fleet.workers_at_peak,
                connections={name: datastore.total for name, datastore in datastores.items()},
                fits=all(datastore.fits for datastore in datastores.values()),
                rollout_seconds=time_of(fleet_config, fleet).rollout_seconds,
            )
        )
    return tuple(options)
