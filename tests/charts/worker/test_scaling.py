"""Who sets the number of workers, how many are wanted, and how fast they go."""

from __future__ import annotations

import pytest

from tests.charts.worker.rendering import as_it_is, budget, kinds, one, render, rendered

SCALERS = {"ScaledObject", "HorizontalPodAutoscaler"}


@pytest.mark.parametrize(
    ("scenario", "scaler"),
    [("default", set()), ("keda", {"ScaledObject"}), ("hpa", {"HorizontalPodAutoscaler"})],
)
def test_exactly_one_owns_the_number_of_workers(scenario: str, scaler: set[str]) -> None:
    objects = as_it_is(scenario)
    assert kinds(objects) & SCALERS == scaler
    assert ("replicas" in one(objects, "Deployment")["spec"]) == (not scaler)


def test_wanted_are_the_jobs_of_workers_that_do_not_drain_and_the_buffer_in_slots() -> None:
    (trigger,) = one(as_it_is("keda"), "ScaledObject")["spec"]["triggers"]
    selector = 'namespace="agents",pod=~"test-agent-worker-[a-z0-9]+-[a-z0-9]+"'
    assert trigger["metadata"]["query"] == (
        f"sum(agent_jobs_running{{{selector}}} unless on (namespace, pod) "
        f'(agent_worker_state{{{selector},state="draining"}} == 1)) + {budget().scaling.buffer_jobs}'
    )
    # An average value divides by this and rounds up.
    assert trigger["metricType"] == "AverageValue"
    assert trigger["metadata"]["threshold"] == str(budget().fleet.slots)


def test_hpa_and_keda_want_the_same() -> None:
    (trigger,) = one(as_it_is("keda"), "ScaledObject")["spec"]["triggers"]
    ((group,), (metric,)) = (
        one(as_it_is("hpa"), "PrometheusRule")["spec"]["groups"],
        one(as_it_is("hpa"), "HorizontalPodAutoscaler")["spec"]["metrics"],
    )
    (rule,) = group["rules"]
    assert rule["expr"] == trigger["metadata"]["query"]
    assert rule["record"] == metric["external"]["metric"]["name"]
    assert metric["external"]["metric"]["selector"]["matchLabels"].items() <= rule["labels"].items()
    assert metric["external"]["target"]["averageValue"] == trigger["metadata"]["threshold"]


def test_without_prometheus_the_whole_promise_is_kept_ready() -> None:
    spec = one(as_it_is("keda"), "ScaledObject")["spec"]
    assert spec["fallback"]["replicas"] == spec["maxReplicaCount"] == budget().fleet.max_replicas
    # No series is no answer, rather than no calls.
    assert spec["triggers"][0]["metadata"]["ignoreNullValues"] == "false"


def test_down_goes_no_faster_than_the_spare_pays_for() -> None:
    scaling, fleet, time = budget().scaling, budget().fleet, budget().time
    down = one(as_it_is("hpa"), "HorizontalPodAutoscaler")["spec"]["behavior"]["scaleDown"]
    (policy,) = down["policies"]
    periods = -(-time.termination_grace_period_seconds // policy["periodSeconds"])
    assert policy["value"] == scaling.scale_down_pods
    assert 0 < policy["value"] * periods <= fleet.spare


def test_a_spare_that_pays_for_nothing_lets_nothing_go_down() -> None:
    down = one(as_it_is("strict"), "HorizontalPodAutoscaler")["spec"]["behavior"]["scaleDown"]
    assert down["selectPolicy"] == "Disabled"
    assert "policies" not in down
    assert any("nothing pays for scaling down" in warning for warning in budget("strict").warnings)


def test_a_tenth_too_few_is_not_near_enough_where_kubernetes_can_be_told() -> None:
    values = {"scaling": {"by": "hpa"}}

    def up(version: str) -> dict[str, object]:
        scaler = rendered("HorizontalPodAutoscaler", values, kube_version=version)
        found: dict[str, object] = scaler["spec"]["behavior"]["scaleUp"]
        return found

    assert up("1.35.0")["tolerance"] == "0"
    assert "tolerance" not in up("1.34.4")
    # Before, the buffer is more than that tenth.
    assert budget().scaling.buffer_jobs > budget().fleet.jobs / 10


def test_another_prometheus_may_name_its_series_otherwise() -> None:
    objects = render({"scaling": {"by": "hpa", "selector": 'fleet="voice"', "hpa": {"metric": "wanted"}}})
    ((rule,),) = (group["rules"] for group in one(objects, "PrometheusRule")["spec"]["groups"])
    assert rule["record"] == "wanted"
    assert rule["expr"].startswith('sum(agent_jobs_running{fleet="voice"} unless')
