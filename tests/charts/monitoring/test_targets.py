"""What is scraped is there, under the labels that rules rely on, by an operator or by a plain Prometheus."""

from __future__ import annotations

from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.charts.render import CHARTS, Object, Refused, render_chart
from tests.charts.scenarios import Scenario

DEFAULTS: dict[str, Any] = YAML(typ="safe").load(CHARTS / "monitoring" / "values.yaml")["targets"]
SELECTED = {
    "agent-worker": DEFAULTS["workers"],
    "mongodb": DEFAULTS["exporters"]["mongodb"],
    "redis": DEFAULTS["exporters"]["redis"],
}
MANAGED = {
    "exporters": [
        {"name": "atlas-0", "datastore": "mongodb", "kind": "mongodb", "existingSecret": "atlas-0-exporter"}
    ]
}


PAID = CHARTS / "monitoring" / "ci" / "everything-stack.yaml"


def ports_of_selected_pods(objects: list[Object], labels: dict[str, str]) -> list[list[str]]:
    """Names of the container ports of each workload whose pods carry these labels."""
    templates = [item["spec"]["template"] for item in objects if "template" in item.get("spec", {})]
    return [
        [port["name"] for one in template["spec"]["containers"] for port in one.get("ports", [])]
        for template in templates
        if labels.items() <= template["metadata"]["labels"].items()
    ]


@pytest.mark.parametrize("chart", SELECTED)
def test_the_selectors_find_the_pods_of_the_other_charts(chart: str) -> None:
    target = SELECTED[chart]
    found = ports_of_selected_pods(Scenario(chart, "everything").objects(), target["podLabels"])
    assert found
    assert all(target["port"] in ports for ports in found)


def pod_monitors(values: dict[str, Any]) -> dict[str, Object]:
    return {
        item["metadata"]["name"]: item["spec"]
        for item in render_chart("monitoring", values, stack=PAID)
        if item["kind"] == "PodMonitor"
    }


def scrape_jobs(values: dict[str, Any]) -> dict[str, Object]:
    (text,) = (
        item["data"]["scrape.yaml"]
        for item in render_chart("monitoring", {**values, "mode": "plain"}, stack=PAID)
        if "scrape.yaml" in item.get("data", {})
    )
    return {job["job_name"]: job for job in YAML(typ="safe").load(text)["scrape_configs"]}


@pytest.mark.parametrize("values", [{}, MANAGED], ids=["ours", "managed"])
def test_both_modes_scrape_the_same_pods_and_give_the_labels_that_rules_rely_on(
    values: dict[str, Any],
) -> None:
    monitors, jobs = pod_monitors(values), scrape_jobs(values)
    assert monitors.keys() == jobs.keys()
    for name, monitor in monitors.items():
        (endpoint,) = monitor["podMetricsEndpoints"]
        given = {rule["targetLabel"]: rule.get("replacement") for rule in endpoint["relabelings"]}
        needed = {"worker"} if given["component"] == "worker" else {"datastore", "node"}
        assert given.keys() >= {"fleet", "component"} | needed
        relabelled = [rule for rule in jobs[name]["relabel_configs"] if "target_label" in rule]
        same = {rule["target_label"]: rule.get("replacement") for rule in relabelled}
        assert same.pop("namespace", None) is None  # the operator adds it by itself
        assert same == given
        kept = {
            rule["source_labels"][0]: rule["regex"] for rule in jobs[name]["relabel_configs"] if kept_by(rule)
        }
        meta = "__meta_kubernetes_pod_label_"
        labels = {
            meta + key.translate(SAFE): value for key, value in monitor["selector"]["matchLabels"].items()
        }
        assert kept == labels | {"__meta_kubernetes_pod_container_port_name": endpoint["port"]}


SAFE = str.maketrans("./-", "___")


def kept_by(rule: dict[str, Any]) -> bool:
    return rule.get("action") == "keep"


@pytest.mark.parametrize("job", scrape_jobs({}))
def test_a_plain_prometheus_leaves_pods_alone_that_have_ended(job: str) -> None:
    # An evicted pod stays as an object, and would be a scrape that fails for good.
    dropped = {
        "action": "drop",
        "source_labels": ["__meta_kubernetes_pod_phase"],
        "regex": "Failed|Succeeded",
    }
    assert dropped in scrape_jobs({})[job]["relabel_configs"]


def test_an_exporter_for_a_managed_server_is_found_by_its_target() -> None:
    selected = pod_monitors(MANAGED)["test-monitoring-atlas-0"]
    found = ports_of_selected_pods(
        render_chart("monitoring", MANAGED, stack=PAID), selected["selector"]["matchLabels"]
    )
    assert found == [[selected["podMetricsEndpoints"][0]["port"]]]


def test_an_exporter_of_a_datastore_that_the_budget_does_not_know_is_refused() -> None:
    exporter = MANAGED["exporters"][0] | {"datastore": "mongo"}
    with pytest.raises(
        Refused, match=r"exporters.atlas-0.datastore is mongo; in the budget are: mongodb, redis"
    ):
        render_chart("monitoring", {"exporters": [exporter]})


def test_an_exporter_that_the_budget_does_not_pay_for_is_refused() -> None:
    with pytest.raises(
        Refused,
        match=r"exporters.atlas-0 may hold 3 connections, mongodb.consumers.exporter.* pays for 0: add",
    ):
        render_chart("monitoring", MANAGED)  # the production stack has none
