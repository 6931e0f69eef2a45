"""The soak's judgement, without a soak: what it accepts as an order, what it calls broken, and what it says of it."""

from __future__ import annotations

import json
from argparse import ArgumentTypeError
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from infra.local.gauges import Gauges
from tests.faults import soak, soak_report
from tests.faults.soak_job import FAIL_SHARE, Asked
from tests.faults.soak_load import Totals
from tests.faults.soak_quiet import Quiet
from tests.faults.soak_verdict import Soak, broken, trends


def quiet(jobs: int, **changes: Any) -> Quiet:
    """A quiet point of which nothing is wrong; a tenth was killed, one job failed."""
    killed, failed = jobs // 10, min(jobs, 1)
    return replace(
        Quiet(
            at=jobs / 4,
            settled_seconds=1.0,
            placed=jobs,
            kills=killed,
            asked_to_fail=failed,
            totals=Totals(jobs, 0, jobs - killed - failed, failed, killed),
            kernel={"mongodb": 4, "redis": 2},
            gauges={"mongodb": 4, "redis": 2},
            share={"mongodb": 4, "redis": 2},
            peak={"mongodb": 52, "redis": 34},
            peak_since={"mongodb": 50, "redis": 30},
            peak_slots=8,
            slots=0,
            running=0,
            descriptors={"worker-1": 39, "FerretDB": 18},
            processes={"worker-1": 4},
            zombies=0,
            files={"worker-1": 20},
            kibibytes={"worker-1": 1280},
            rss_mib={"worker-1": 140.0},
            scrape_ms={"worker-1": 8.0},
            yardstick_ms=8.0,
        ),
        **changes,
    )


def soaked(*points: Quiet, **changes: Any) -> Soak:
    return replace(
        Soak(
            name="soak-test",
            date="2026-01-01 00:00 UTC",
            machine="2 cores",
            remark="",
            seed=1,
            jobs_wanted=points[-1].jobs,
            kill_share=0.1,
            minutes=25,
            timed_out=False,
            workers=2,
            slots=8,
            budget={"mongodb": 52, "redis": 34},
            points=list(points),
            calls_went_on={"a reload": 20, "0.3 s without signalling": 18},
            calls_ended=[],
            calls_never_heard=2,
            load_seconds=250.0,
            unanswered_scrapes=0,
            left={"mongodb": 0, "redis": 0},
            exit_statuses={"worker-1": 0},
            left_behind=[],
        ),
        **changes,
    )


GOOD = soaked(quiet(0), quiet(100), quiet(1000))


def test_a_good_soak_breaks_nothing() -> None:
    assert broken(GOOD) == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"settled_seconds": None}, "did not come to rest within 30 s"),
        ({"slots": 1}, "1 slots still locked, expected 0"),
        ({"running": 2}, "agent_jobs_running 2, expected 0"),
        ({"zombies": 3}, "3 zombies, expected 0"),
        ({"gauges": {"mongodb": 7, "redis": 2}}, "gauges report 7 connections, the kernel counts 4"),
        (
            {"kernel": {"mongodb": 4, "redis": 3}, "gauges": {"mongodb": 4, "redis": 3}},
            "redis: 3 connections, above the workers' own share of 2",
        ),
        (
            {"totals": Totals(1000, 0, 890, 1, 99)},
            "890 completed + 1 failed + 99 killed = 990, but 1000 were",
        ),
        (
            {"peak": {"mongodb": 53, "redis": 34}},
            "mongodb: 53 connections in the kernel, above the budget of 52",
        ),
        ({"peak_slots": 9}, "jobs at once on one worker: 9, above its 8 slots"),
        ({"totals": Totals(1000, 0, 890, 10, 100)}, "jobs failed: 10, but only 1 were asked to"),
        ({"totals": Totals(1000, 0, 798, 1, 201)}, "jobs counted as killed: 201, but only 100 were"),
        ({"descriptors": {"worker-1": 47, "FerretDB": 18}}, "worker-1: descriptors grew from 39 to 47"),
        ({"processes": {"worker-1": 5}}, "worker-1: processes grew from 4 to 5"),
        ({"files": {"worker-1": 25}}, "worker-1: metrics files grew from 20 to 25, at most 24 accepted"),
        ({"rss_mib": {"worker-1": 170.0}}, "worker-1: memory grew from 140 to 170"),
    ],
)
def test_what_is_broken_is_named_with_figures(changes: dict[str, Any], sentence: str) -> None:
    (said,) = broken(soaked(quiet(0), quiet(100), quiet(1000, **changes)))
    assert sentence in said


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"left": {"mongodb": 3, "redis": 0}},
            "mongodb: 3 connections in the kernel after all workers are gone",
        ),
        ({"exit_statuses": {"worker-1": 70}}, "worker-1 ended with status 70, expected 0"),
        ({"left_behind": ["pid 7 python"]}, "left behind: pid 7 python"),
        ({"jobs_wanted": 5000}, "jobs accepted: 1000 of 5000"),
        (
            {"calls_ended": ["soak-7, job process 4711: after a reload nobody answered"]},
            "a call ended by what its caller outlived: soak-7",
        ),
        ({"calls_went_on": {}}, "no call went on after a reload or a loss"),
    ],
)
def test_the_end_is_judged_too(changes: dict[str, Any], sentence: str) -> None:
    (said,) = broken(replace(GOOD, **changes))
    assert sentence in said


def test_an_earlier_quiet_point_counts_as_much_as_the_last() -> None:
    (said,) = broken(soaked(quiet(0), quiet(100), quiet(500, slots=1), quiet(1000)))
    assert said.startswith("quiet point 2 after 500 jobs")


def test_time_that_is_over_is_said_and_breaks_nothing() -> None:
    late = replace(GOOD, jobs_wanted=5000, timed_out=True)
    assert broken(late) == []
    assert "**1000 of 5000 jobs: the 25 minutes were over**" in soak_report.markdown(late, [])


def test_growth_is_measured_from_the_warm_up_not_from_the_empty_start() -> None:
    empty = quiet(0, files={"worker-1": 4})
    (files,) = (trend for trend in trends([empty, quiet(100), quiet(1000)]) if trend.what == "metrics files")
    assert (files.first, files.last, files.ratio) == (20, 20, 1.0)


def test_the_report_is_written_in_three_forms_and_into_the_docs(tmp_path: Path) -> None:
    docs = tmp_path / "docs" / "SOAK.md"
    docs.parent.mkdir()
    soak_report.write(GOOD, ["something broke"], tmp_path, docs)
    written = json.loads((tmp_path / "soak.json").read_text())
    assert written["broken_invariants"] == ["something broke"]
    assert len(written["points"]) == 3
    for page in (tmp_path / "soak.md", docs):
        assert "- something broke" in page.read_text()
        assert page.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_calls_that_went_on_are_told_by_what_they_outlived() -> None:
    told = soak_report.markdown(GOOD, [])
    assert "| calls that went on | 38 | 18 after 0.3 s without signalling; 20 after a reload; 2 met" in told


def test_a_line_for_each_quiet_point() -> None:
    said = " ".join(soak_report.line(quiet(100)).split())
    assert said == "100 25 s 89 1 10 1.0 s 4 / 4 / 50 2 / 2 / 30"
    assert "never" in soak_report.line(quiet(100, settled_seconds=None))


def test_totals_are_those_of_all_workers() -> None:
    one = Gauges(outcomes={"completed": 5, "killed": 1}, requests={"accepted": 7, "rejected": 2})
    other = Gauges(outcomes={"failed": 2}, requests={"accepted": 2})
    totals = Totals.of([one, other])
    assert totals == Totals(accepted=9, rejected=2, completed=5, failed=2, killed=1)
    assert totals.ended == 8


def test_jobs_are_drawn_alike_from_the_same_seed_and_a_few_fail() -> None:
    drawn = [Asked.drawn(number, random) for random in (Random(1),) for number in range(2000)]
    assert drawn[7] == [Asked.drawn(number, random) for random in (Random(1),) for number in range(8)][7]
    assert 0 < sum(asked.fail for asked in drawn) < 2 * FAIL_SHARE * len(drawn)
    assert Asked.model_validate_json(drawn[0].model_dump_json()) == drawn[0]


def test_shares_and_counts_are_read_or_refused_with_what_is_accepted() -> None:
    given = soak.arguments(["--jobs", "200", "--kill", "10%", "--minutes", "5"])
    assert (given.jobs, given.kill, given.minutes) == (200, 0.1, 5)
    for wrong in ("51%", "-1%", "a tenth", "", "1.5%"):
        with pytest.raises(ArgumentTypeError, match=r"accepted: a whole percentage from 0% to 50%"):
            soak.share(wrong)
