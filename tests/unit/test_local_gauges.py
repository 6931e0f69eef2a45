"""A worker's /metrics as numbers: ours are read, LiveKit's are skipped, quantiles interpolate as PromQL does."""

from __future__ import annotations

import math

import pytest

from infra.local.gauges import Histogram, parse

TEXT = """\
# HELP agent_datastore_connections Open connections.
# TYPE agent_datastore_connections gauge
agent_datastore_connections{datastore="mongodb",state="in_use"} 1.0
agent_datastore_connections{datastore="mongodb",state="idle"} 3.0
agent_datastore_connections{datastore="mongodb",state="monitoring"} 2.0
agent_datastore_connections{datastore="redis",state="idle"} 2.0
# TYPE agent_datastore_connections_budget gauge
agent_datastore_connections_budget{datastore="mongodb"} 14.0
# TYPE agent_job_slots gauge
agent_job_slots{agent_name="assistant"} 4.0
# TYPE agent_jobs_running gauge
agent_jobs_running{agent_name="assistant"} 2.0
# TYPE agent_jobs_total counter
agent_jobs_total{outcome="completed",reason="hung_up"} 4.0
agent_jobs_total{outcome="completed",reason="lost"} 3.0
agent_jobs_total{outcome="killed",reason="died"} 1.0
# TYPE agent_job_requests_total counter
agent_job_requests_total{result="rejected"} 5.0
# TYPE agent_datastore_open_duration_seconds histogram
agent_datastore_open_duration_seconds_bucket{datastore="mongodb",le="0.1"} 5.0
agent_datastore_open_duration_seconds_bucket{datastore="mongodb",le="0.2"} 10.0
agent_datastore_open_duration_seconds_bucket{datastore="mongodb",le="+Inf"} 10.0
agent_datastore_open_duration_seconds_count{datastore="mongodb"} 10.0
agent_datastore_open_duration_seconds_sum{datastore="mongodb"} 1.1
# TYPE lk_agents_active_job_count gauge
lk_agents_active_job_count{nodename="x"} 99.0
"""


def test_reads_our_metrics_and_no_others() -> None:
    gauges = parse(TEXT)
    assert (gauges.running, gauges.slots) == (2, 4)
    assert gauges.connections["mongodb"] == {"in_use": 1, "idle": 3, "monitoring": 2}
    assert gauges.total("mongodb") == 6
    assert gauges.total("redis") == 2
    assert gauges.total("weaviate") == 0
    assert gauges.budget == {"mongodb": 14}
    assert gauges.outcomes == {"completed": 7, "killed": 1}
    assert gauges.requests == {"rejected": 5}
    assert gauges.opening["mongodb"].count == 10


def test_an_empty_answer_is_a_worker_that_says_nothing_yet() -> None:
    gauges = parse("")
    assert gauges.running == gauges.slots == 0
    assert gauges.connections == {}


@pytest.mark.parametrize(("q", "seconds"), [(0.5, 0.1), (0.75, 0.15), (0.99, 0.198), (0.25, 0.05)])
def test_quantiles_interpolate_within_their_bucket(q: float, seconds: float) -> None:
    assert parse(TEXT).opening["mongodb"].quantile(q) == pytest.approx(seconds)


def test_a_quantile_beyond_the_last_bound_is_that_bound() -> None:
    assert Histogram({0.1: 1, 10: 1, math.inf: 4}).quantile(0.99) == 10


def test_no_observation_has_no_quantile() -> None:
    assert Histogram().quantile(0.5) is None
    assert Histogram({0.1: 0, math.inf: 0}).quantile(0.5) is None


def test_histograms_of_several_workers_add_up() -> None:
    one, other = Histogram({0.1: 1, math.inf: 2}), Histogram({0.1: 3, math.inf: 3})
    assert Histogram.merged([one, other]).buckets == {0.1: 4, math.inf: 5}
