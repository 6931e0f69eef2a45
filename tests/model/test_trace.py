"""Recorded pod traces: the format holds, and every one of them kept within its quota."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.model.trace import Header, Recorder, phase_of, read

CLUSTER = Path(__file__).parents[1] / "cluster"
RECORDED = sorted((CLUSTER / "seen").glob("*.jsonl"))
HEADER = Header(
    what="a test",
    kubernetes="v1.34.4",
    recorded="2026-11-25",
    replicas=1,
    surge=1,
    quota_pods=2,
    grace_seconds=60,
)


def pod(name: str, phase: str, *, ready: bool = False, deleting: bool = False) -> dict[str, Any]:
    """As the API server's watch gives it, cut down to what is read."""
    metadata: dict[str, Any] = {"name": name, "labels": {"pod-template-hash": "6f"}}
    if deleting:
        metadata["deletionTimestamp"] = "2026-11-25T02:00:00Z"
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {"metadata": metadata, "spec": {}, "status": {"phase": phase, "conditions": conditions}}


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_real_cluster_kept_the_pods_within_the_quota(path: Path) -> None:
    trace = read(path)
    assert trace.pods
    if trace.header.quota_pods is not None:
        assert trace.peak <= trace.header.quota_pods


def test_what_is_recorded_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "one.pods.jsonl"
    recorder = Recorder(path, HEADER)
    recorder.mark("rollout")
    recorder.pod(pod("a", "Pending"))
    recorder.pod(pod("a", "Pending"))  # the same phase again
    recorder.pod(pod("a", "Running"))
    recorder.pod(pod("a", "Running", ready=True))
    recorder.pod(pod("a", "Running"))  # its probe failed once
    recorder.pod(pod("b", "Pending"))
    recorder.connections({"mongodb": 3})
    recorder.pod(pod("a", "Running", deleting=True))
    recorder.pod(pod("a", "Running", deleting=True), deleted=True)
    recorder.close()
    trace = read(path)
    assert trace.header == HEADER
    assert [(event.pod, event.phase) for event in trace.pods] == [
        ("a", "pending"),
        ("a", "starting"),
        ("a", "ready"),
        ("b", "pending"),
        ("a", "terminating"),
        ("a", "gone"),
    ]
    assert trace.peak == 2
    assert [mark.mark for mark in trace.marks] == ["rollout"]
    assert trace.samples[0].connections == {"mongodb": 3}


def test_a_pod_that_failed_holds_nothing() -> None:
    assert phase_of(pod("a", "Failed")) == "gone"


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ('{"format": "other"}', "accepted: a first line"),
        ('{"at": 2, "mark": "healed"}\n{"at": 1, "mark": "healed"}', ":3: at 1 after 2"),
        ('{"at": 1, "pod": "a", "generation": "6f", "node": "", "phase": "running"}', "accepted: pending,"),
        ('{"at": 1, "mark": "eclipse"}', "accepted: rollout,"),
        ('{"at": 1}', "accepted: a line with pod"),
    ],
)
def test_a_wrong_line_is_named(lines: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.pods.jsonl"
    recorder = Recorder(path, HEADER)
    recorder.close()
    first = "" if "format" in lines else path.read_text()
    path.write_text(f"{first}{lines}\n")
    with pytest.raises(ValueError, match=re.escape("wrong.pods.jsonl:")) as raised:
        read(path)
    assert problem in str(raised.value)
