"""The rows of a waterfall: who holds how many connections to a node, and in which words."""

from __future__ import annotations

from dataclasses import dataclass

from infra.budget.solution import Row, RowKind, grouped
from infra.config import DatastoreConfig
from infra.config.plans import PLANS
from infra.datastores import Sockets

# What one member of a replica set opens to another: an estimate, not measured, for no real mongod was
# available. A published log of 6.0 names ReplNetwork 2, ReplicaSetMonitor 2, ReplCoordExternNetwork 1,
# MirrorMaestro 1 and "Internal Client" 3; 9, rounded up.
MONGODB_CONNECTIONS_PER_PEER = 10


@dataclass(frozen=True)
class Share:
    """What one job and one worker hold on a node."""

    per_job: int
    reason: str
    per_worker: int


def share_of(config: DatastoreConfig, beside: Sockets) -> Share:
    """A pool to the node, and what the client holds beside it."""
    return Share(
        per_job=config.pool + beside.number,
        reason=f"pool {config.pool}" + (f" + {count(beside.number, beside.what)}" if beside.number else ""),
        per_worker=config.worker_pool + beside.number if config.worker_pool else 0,
    )


class Rows:
    """The waterfall as it grows."""

    def __init__(self, workers: int, slots: int) -> None:
        self.workers, self.slots = workers, slots
        self.rows: list[Row] = []
        self.total = 0

    def add(self, name: str, kind: RowKind, formula: str, connections: int) -> None:
        workers = self.workers if kind in ("jobs", "workers") else None
        self.rows.append(Row(name, kind, workers, formula, connections, self.total))
        self.total += connections

    def add_fleet(self, share: Share) -> None:
        workers, slots = self.workers, self.slots
        formula = f"{count(workers, 'worker')} × {count(slots, 'slot')} × {share.per_job}"
        self.add("jobs", "jobs", formula, workers * slots * share.per_job)
        if share.per_worker:
            formula = f"{count(workers, 'worker')} × {share.per_worker}"
            self.add("workers", "workers", formula, workers * share.per_worker)

    def add_consumers(self, config: DatastoreConfig) -> None:
        # In the order of their names: the order in the file must matter to nothing.
        for name, consumer in sorted(config.consumers.items()):
            formula = f"{count(consumer.processes, 'process')} × {consumer.connections}"
            self.add(name, "consumer", formula, consumer.processes * consumer.connections)

    def add_peers(self, members: int) -> None:
        if others := members - 1:
            formula = (
                f"{others} other {'member' if others == 1 else 'members'} × {MONGODB_CONNECTIONS_PER_PEER}"
            )
            self.add("peers", "peers", formula, others * MONGODB_CONNECTIONS_PER_PEER)

    def add_plan_and_reserve(self, plan: str | None, reserve: int) -> None:
        if plan and (family := PLANS[plan].family).reserved:
            self.add(family.title, "provider", "kept back by the provider", family.reserved)
        self.add("reserve", "reserve", "for operators", reserve)


def count(number: int, noun: str) -> str:
    """`3 workers`, `1 process`."""
    plural = noun if number == 1 else f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{grouped(number)} {plural}"
