"""A watcher opens no datastore: what counts workers, on a cluster or in a chart, does not count it."""

from __future__ import annotations

from infra.stack.running import WORKERS
from tests.charts.worker.rendering import render


def selected(labels: dict[str, str]) -> bool:
    """As the API server reads infra.stack.running's selector: `key=value` and `key notin (a,b)`."""
    name, _, component = WORKERS.partition(",")
    key, _, values = component.partition(" notin ")
    equal_key, _, equal_value = name.partition("=")
    return labels.get(equal_key) == equal_value and labels.get(key) not in values.strip("()").split(",")


def test_the_program_counts_workers_alone() -> None:
    objects = render({"watcher": {"enabled": True}})
    pods = {
        one["metadata"]["name"].removeprefix("test-agent-worker"): one["spec"]["template"]["metadata"][
            "labels"
        ]
        for one in objects
        if one["kind"] in ("Deployment", "Job")
    }
    counted = [name for name, labels in pods.items() if selected(labels)]
    assert len(pods) == 3
    assert counted == [""]
