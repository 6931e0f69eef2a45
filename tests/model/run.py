"""One stack through the model twice: a random schedule must stay below the solved peak, the worst one must reach it."""

from __future__ import annotations

import random
from dataclasses import dataclass

from infra.budget import solve
from infra.config import StackConfig
from tests.model.configs import random_config
from tests.model.fleet import Fleet, Pace
from tests.model.schedules import PEAK_PACE, at_random, to_the_peak

EVENTS = 25


@dataclass(frozen=True)
class Outcome:
    """What the model saw of one stack."""

    seed: int
    mode: str
    solved: dict[str, int]
    """Datastore → the sum that the budget comes to, for each node."""
    seen: dict[str, list[int]]
    """Datastore → the most of each node under the random schedule."""
    reached: dict[str, list[int]]
    """Datastore → the most of each node under the worst schedule."""
    connections: int
    """Opened in both."""
    refused: int
    cut_short: int

    @property
    def above(self) -> dict[str, list[int]]:
        """Datastores of which a node had more than was solved."""
        peaks = {name: self.seen[name] + self.reached[name] for name in self.solved}
        return {name: nodes for name, nodes in peaks.items() if max(nodes) > self.solved[name]}

    @property
    def loose(self) -> dict[str, list[int]]:
        """Datastores of which a node did not reach what was solved: the budget pays for what cannot come."""
        return {name: nodes for name, nodes in self.reached.items() if min(nodes) < self.solved[name]}

    @property
    def agrees(self) -> bool:
        return not self.above and not self.loose and not self.cut_short


def run(seed: int) -> Outcome:
    """The stack and the schedules of this seed."""
    chance = random.Random(seed)
    return run_config(random_config(chance), seed)


def run_config(config: StackConfig, seed: int) -> Outcome:
    """This stack under the random schedule of this seed, and under the worst one."""
    chance = random.Random(seed)
    solution = solve(config)
    start_within = config.fleet.worker_start_seconds
    pace = Pace(latency=chance.uniform(0.1, 2), start=lambda: chance.uniform(1, start_within))
    wandering = Fleet(config, solution, pace, chance)
    at_random(wandering, EVENTS)
    worst = Fleet(config, solution, PEAK_PACE, chance)
    to_the_peak(worst)
    return Outcome(
        seed=seed,
        mode=config.fleet.rolling.mode,
        solved={name: datastore.total for name, datastore in solution.datastores.items()},
        seen=wandering.peaks(),
        reached=worst.peaks(),
        connections=wandering.accepted + worst.accepted,
        refused=wandering.cluster.refused,
        cut_short=wandering.cluster.cut_short,
    )
