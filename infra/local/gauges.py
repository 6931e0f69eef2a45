"""What a worker says of itself: its /metrics, as numbers."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

STATES = ("in_use", "idle", "monitoring")


@dataclass(frozen=True)
class Gauges:
    """One scrape of one worker. Connections are those of the worker and its jobs together."""

    running: int = 0
    slots: int = 0
    connections: dict[str, dict[str, int]] = field(default_factory=dict)
    """Datastore → state (`in_use`, `idle`, `monitoring`) → connections."""
    budget: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    """Jobs ended so far: `completed`, `failed`, `killed`."""
    ended: dict[str, int] = field(default_factory=dict)
    """How those calls ended: `hung_up`, `lost`, `time_limit`, …"""
    requests: dict[str, int] = field(default_factory=dict)
    """Job requests so far: `accepted`, `rejected`."""
    opening: dict[str, Histogram] = field(default_factory=dict)
    """Datastore → how long opening it took, in seconds."""
    checkout: dict[str, Histogram] = field(default_factory=dict)
    """Datastore → how long operations waited for a connection, in seconds."""

    def total(self, datastore: str) -> int:
        return sum(self.connections.get(datastore, {}).values())


@dataclass(frozen=True)
class Histogram:
    """Cumulative counts by upper bound in seconds, as Prometheus keeps them."""

    buckets: dict[float, float] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return int(self.buckets.get(math.inf, 0))

    def quantile(self, q: float) -> float | None:
        """Interpolated within its bucket, as PromQL's histogram_quantile does; None without observations."""
        if self.count == 0:
            return None
        rank, lower, below = q * self.count, 0.0, 0.0
        for upper, count in sorted(self.buckets.items()):
            if count >= rank:
                return (
                    lower if math.isinf(upper) else lower + (upper - lower) * (rank - below) / (count - below)
                )
            lower, below = upper, count
        return lower

    @staticmethod
    def merged(histograms: Iterable[Histogram]) -> Histogram:
        buckets: defaultdict[float, float] = defaultdict(float)
        for histogram in histograms:
            for upper, count in histogram.buckets.items():
                buckets[upper] += count
        return Histogram(dict(buckets))


def parse(text: str) -> Gauges:
    """Read the Prometheus text format; names that are not ours (`lk_agents_*`) are skipped.

    Raises:
        ValueError: the text is not in that format.
    """
    running = slots = 0
    connections: defaultdict[str, dict[str, int]] = defaultdict(dict)
    budget: dict[str, int] = {}
    outcomes: dict[str, int] = {}
    ended: dict[str, int] = {}
    requests: dict[str, int] = {}
    durations: dict[str, defaultdict[str, dict[float, float]]] = {
        "open": defaultdict(dict),
        "checkout": defaultdict(dict),
    }
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels, value = sample.labels, sample.value
            match sample.name:
                case "agent_jobs_running":
                    running += int(value)
                case "agent_job_slots":
                    slots += int(value)
                case "agent_datastore_connections":
                    connections[labels["datastore"]][labels["state"]] = int(value)
                case "agent_datastore_connections_budget":
                    budget[labels["datastore"]] = int(value)
                case "agent_jobs_total":
                    for counts, label in ((outcomes, "outcome"), (ended, "reason")):
                        counts[labels[label]] = counts.get(labels[label], 0) + int(value)
                case "agent_job_requests_total":
                    requests[labels["result"]] = int(value)
                case "agent_datastore_open_duration_seconds_bucket":
                    durations["open"][labels["datastore"]][float(labels["le"])] = value
                case "agent_datastore_checkout_duration_seconds_bucket":
                    durations["checkout"][labels["datastore"]][float(labels["le"])] = value
    return Gauges(
        running=running,
        slots=slots,
        connections=dict(connections),
        budget=budget,
        outcomes=outcomes,
        ended=ended,
        requests=requests,
        opening={name: Histogram(buckets) for name, buckets in durations["open"].items()},
        checkout={name: Histogram(buckets) for name, buckets in durations["checkout"].items()},
    )
