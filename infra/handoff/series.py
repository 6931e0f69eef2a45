"""The solved budget as constant series: the one way in which its numbers reach alerts, dashboards and runbooks.

A rule that compares says `agent:server_connections > on (fleet, datastore) agent_budget:connections_warning_above` and
holds no number of its own; the chart, the local stack and the rules' tests record these series from the same solution.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from infra.budget.capacity import Room
from infra.budget.solution import Datastore, Solution

PREFIX = "agent_budget:"


@dataclass(frozen=True)
class Series:
    """A number of the budget under the name that rules and dashboards know."""

    name: str
    meaning: str
    value: int
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def record(self) -> str:
        return PREFIX + self.name

    def as_dict(self) -> dict[str, Any]:
        """As chart values."""
        return {"record": self.record, "labels": dict(self.labels), "value": self.value}

    def as_rule(self, fleet: str) -> dict[str, Any]:
        """As a Prometheus recording rule."""
        return {
            "record": self.record,
            "expr": f"vector({self.value})",
            "labels": {"fleet": fleet, **self.labels},
        }


def budget_series(solution: Solution, rooms: Iterable[Room]) -> tuple[Series, ...]:
    """Every number of the budget that something is compared with. Connections are per node unless it says otherwise.

    Args:
        rooms: what the datastores would take, by `budget.capacity`.
    """
    return (
        *_fleet(solution),
        *(series for datastore in solution.datastores.values() for series in _datastore(datastore)),
        *(
            Series(
                "jobs_fit",
                "calls at once that the datastore's limit takes, today and with a plan one may move to",
                room.jobs,
                {"datastore": room.datastore, "plan": room.plan},
            )
            for room in rooms
        ),
    )


def _fleet(solution: Solution) -> Iterator[Series]:
    fleet, time = solution.fleet, solution.time
    yield Series("jobs", "the promise: calls at once", fleet.jobs)
    yield Series("workers", "workers of a full fleet", fleet.max_replicas)
    yield Series(
        "workers_at_peak", "workers at the worst moment, terminating ones included", fleet.workers_at_peak
    )
    yield Series(
        "drain_timeout_seconds",
        "a drain with every call within its time; LiveKit ends what is left then",
        time.drain_timeout_seconds,
    )
    yield Series("open_slow_seconds", "opening one datastore; more is slow", time.open_slow_seconds)


def _datastore(datastore: Datastore) -> Iterator[Series]:
    labels = {"datastore": datastore.name}
    alerts = datastore.alerts
    yield Series("connections_limit", "what a node accepts", datastore.limit, labels)
    yield Series("connections_total", "what the budget comes to, reserve included", datastore.total, labels)
    yield Series(
        "connections_warning_above",
        "what everyone in the budget holds at most: above it is someone who is not",
        alerts.warning_above,
        labels,
    )
    yield Series(
        "connections_critical_above",
        "above it less than half of the reserve is left before the limit",
        alerts.critical_above,
        labels,
    )
    yield Series(
        "connections_fleet",
        "what the fleet holds at most, on all nodes together",
        alerts.fleet,
        labels,
    )
    yield Series(
        "nodes_per_client",
        "nodes that each client holds connections to: so many have to be counted",
        datastore.nodes_per_client,
        labels,
    )
    yield Series(
        "connections_others",
        "what others than the fleet hold at most, on all nodes together: consumers, peers, the provider",
        alerts.others,
        labels,
    )
