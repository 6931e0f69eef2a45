"""What was deployed, as far as a change needs to know it, whoever has kept it.

A `Solution` just solved, a record in the cluster and a chart's `budget:` block are read into one shape, `Deployed`,
whose keys are the block's own. Nobody solves an old config again: these figures are what the running workers have.
Keys that are not known here are passed over, so that what a newer version wrote can be read; a field that is added to
these classes needs a default, so that what an older one wrote can be.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from infra.budget.solution import Alerts, MongoDBServer, RedisServer, Solution


@dataclass(frozen=True)
class DeployedFleet:
    """How many workers, of which size."""

    slots: int
    max_replicas: int
    workers_at_peak: int


@dataclass(frozen=True)
class DeployedTime:
    """How long its workers may stay."""

    termination_grace_period_seconds: int
    rollout_seconds: int


@dataclass(frozen=True)
class DeployedRow:
    """Who holds how many connections to a node; `kind` as in `solution.Row`, or of a version to come."""

    name: str
    kind: str
    formula: str
    connections: int


@dataclass(frozen=True)
class DeployedDatastore:
    """One datastore's side, per node."""

    title: str
    limit: int
    total: int
    workers: int
    connections_per_worker: int
    rows: tuple[DeployedRow, ...]
    alerts: Alerts
    plan: str | None = None
    server: MongoDBServer | RedisServer | None = None

    @property
    def others(self) -> tuple[DeployedRow, ...]:
        """Who connects beside the fleet."""
        return tuple(row for row in self.rows if row.kind not in ("jobs", "workers"))


@dataclass(frozen=True)
class Deployed:
    """A budget that workers run with."""

    digest: str
    """As it was when it was solved: what those workers carry."""
    fleet: DeployedFleet
    time: DeployedTime
    datastores: dict[str, DeployedDatastore]

    @property
    def fits(self) -> bool:
        """Whether it fitted by itself, by the limits of its time."""
        return all(datastore.total <= datastore.limit for datastore in self.datastores.values())


class NotFigures(Exception):
    """These values are no solved budget; the message names the first figure that is missing or wrong."""


_DEPLOYED = TypeAdapter(Deployed)


def deployed(solution: Solution) -> Deployed:
    """The same of a solution."""
    return figures(asdict(solution))


def figures(values: Mapping[str, Any]) -> Deployed:
    """The same of plain values: a record's, or a `budget:` block. Raises NotFigures."""
    try:
        return _DEPLOYED.validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise NotFigures(f"{where}: {first['msg']}") from None
    except (TypeError, ValueError) as error:
        raise NotFigures(str(error)) from None
