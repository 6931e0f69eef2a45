"""The demo's verdict: silent when all held, one sentence with figures for each promise that was broken."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from infra.local.caller import CallResult, Outcome
from infra.local.demo import picture
from infra.local.demo.invariants import broken
from infra.local.demo.report import (
    Counted,
    DatastoreSeen,
    Durations,
    Event,
    FleetSeen,
    Kill,
    Leftovers,
    Report,
    Rollover,
    Told,
)


def call(
    room: str, outcome: Outcome = Outcome.ANSWERED, *, again: bool = False, detail: str = ""
) -> CallResult:
    return CallResult(
        room, f"caller-{room}", outcome, began=0, ended=5, answers=3, again=again, detail=detail
    )


def datastore(name: str, title: str) -> DatastoreSeen:
    return DatastoreSeen(
        name=name,
        title=title,
        budget=62,
        limit=67,
        limit_enforced=True,
        per_worker=2,
        peak=42,
        left=0,
        idle_gauges={"worker-2": 2, "worker-3": 2},
        idle_kernel=4,
        durations=Durations(opened=3, open_p50=0.02, open_p99=0.1, checkout_p99=None),
    )


def good() -> Report:
    return Report(
        name="demo-test",
        digest="0123456789abcdef",
        seconds=50,
        calls_wanted=3,
        calls=[call("a"), call("b"), call("c", Outcome.KILLED), call("c-again", again=True)],
        transcripts_missing=[],
        datastores={"mongodb": datastore("mongodb", "MongoDB"), "redis": datastore("redis", "Redis")},
        fleet=FleetSeen(
            slots=4,
            workers=2,
            peak_workers=3,
            workers_at_peak=4,
            jobs_at_peak=16,
            peak_jobs=8,
            peak_jobs_by_worker={"worker-1": 4, "worker-2": 4, "worker-3": 2},
            gauge_slots={"worker-1": 4, "worker-2": 4, "worker-3": 4},
            killed_by_gauge=1,
            exit_statuses={"worker-1": 0, "worker-2": 0, "worker-3": 0},
        ),
        kill=Kill("c", 4711, "worker-1", 1.1),
        rollover=Rollover("worker-1", "worker-3", 3, 4.2, 0),
        leftovers=Leftovers(running={"worker-2": 0}, slots={"worker-1": 0, "worker-2": 0}, processes=[]),
        events=[Event(1, "wave 1: 2 calls"), Event(1.1, "job killed (SIGKILL)"), Event(9, "wave 2: 1 calls")],
        counted=[
            Counted(0, {"mongodb": 0, "redis": 0}, {}),
            Counted(5, {"mongodb": 42, "redis": 20}, {"worker-1": 4}),
            Counted(10, {"mongodb": 0, "redis": 0}, {"worker-1": 0}),
        ],
        told=[Told(5, {"mongodb": 42, "redis": 20}, {"mongodb": 28, "redis": 18}, 8)],
    )


def with_datastore(report: Report, **changes: object) -> Report:
    seen = replace(report.datastores["mongodb"], **changes)  # type: ignore[arg-type]
    return replace(report, datastores={**report.datastores, "mongodb": seen})


def with_fleet(report: Report, **changes: object) -> Report:
    return replace(report, fleet=replace(report.fleet, **changes))  # type: ignore[arg-type]


def with_calls(report: Report, *calls: CallResult) -> Report:
    return replace(report, calls=list(calls), calls_wanted=len(calls))


def test_a_report_in_which_all_held_is_silent() -> None:
    assert broken(good()) == []


def test_being_told_busy_breaks_nothing() -> None:
    report = good()
    assert broken(replace(report, calls=[*report.calls, call("d", Outcome.BUSY)], calls_wanted=4)) == []


BREAKS: list[tuple[str, Callable[[Report], Report]]] = [
    (
        "call lost: d: TimeoutError: no answer",
        lambda r: replace(
            r, calls=[*r.calls, call("d", Outcome.LOST, detail="TimeoutError: no answer")], calls_wanted=4
        ),
    ),
    ("calls placed: 3 of 5", lambda r: replace(r, calls_wanted=5)),
    ("transcript missing or incomplete in MongoDB: b", lambda r: replace(r, transcripts_missing=["b"])),
    (
        "calls ended by the one killed job: 2, expected 1",
        lambda r: with_calls(r, *r.calls[:3], call("e", Outcome.KILLED)),
    ),
    ("calls ended by the one killed job: 0, expected 1", lambda r: with_calls(r, call("a"))),
    ("no job was killed", lambda r: replace(r, kill=None)),
    (
        "not counted by the gauges of worker-1 within 5 s",
        lambda r: replace(r, kill=Kill("c", 4711, "worker-1", None)),
    ),
    ('agent_jobs_total{outcome="killed"}: 0, expected 1', lambda r: with_fleet(r, killed_by_gauge=0)),
    (
        "jobs at once on worker-1: 5, above its 4 slots",
        lambda r: with_fleet(r, peak_jobs_by_worker={"worker-1": 5}),
    ),
    ("jobs at once in all: 17, above the 16", lambda r: with_fleet(r, peak_jobs=17)),
    ("workers at once: 5, above the 4", lambda r: with_fleet(r, peak_workers=5)),
    ("agent_job_slots of worker-1: 0, expected 4", lambda r: with_fleet(r, gauge_slots={"worker-1": 0})),
    ("worker-2 ended with status -9, expected 0", lambda r: with_fleet(r, exit_statuses={"worker-2": -9})),
    ("MongoDB: 63 connections in the kernel, above the budget of 62", lambda r: with_datastore(r, peak=63)),
    ("MongoDB: 1 connections in the kernel after all workers are gone", lambda r: with_datastore(r, left=1)),
    (
        "MongoDB: worker-2 reports 5 connections without a job, above the 2",
        lambda r: with_datastore(r, idle_gauges={"worker-2": 5}, idle_kernel=5),
    ),
    (
        "MongoDB: gauges report 4 connections without a job, the kernel counts 7",
        lambda r: with_datastore(r, idle_kernel=7),
    ),
    (
        "agent_jobs_running of worker-2: 1 when no call was left",
        lambda r: replace(r, leftovers=replace(r.leftovers, running={"worker-2": 1})),
    ),
    (
        "worker-2: 1 slots still locked",
        lambda r: replace(r, leftovers=replace(r.leftovers, slots={"worker-2": 1})),
    ),
    (
        "left behind: worker-1 left pid 5",
        lambda r: replace(r, leftovers=replace(r.leftovers, processes=["worker-1 left pid 5"])),
    ),
]


@pytest.mark.parametrize(("sentence", "breaking"), BREAKS, ids=[sentence for sentence, _ in BREAKS])
def test_each_broken_promise_is_named_with_figures(
    sentence: str, breaking: Callable[[Report], Report]
) -> None:
    assert any(sentence in line for line in broken(breaking(good())))


def test_a_demo_in_which_nobody_was_answered_is_no_success() -> None:
    assert "calls answered: none" in broken(with_calls(good(), call("a", Outcome.BUSY)))


def test_the_report_is_written_as_json_with_its_verdict(tmp_path: Path) -> None:
    good().write(tmp_path / "report.json", ["something"])
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["broken_invariants"] == ["something"]
    assert content["calls"][0]["outcome"] == "answered"
    assert content["datastores"]["mongodb"]["peak"] == 42


def test_the_picture_is_drawn_without_a_window_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    picture.draw(good(), tmp_path / "report.png")
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")
