"""`make budget` explores: what if, the most calls that fit, calls by plan, and the way from what is deployed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import assume, given

from infra.budget import solve
from infra.budget.explore import curves, jobs_by_plan, most_jobs, plan_changes
from infra.config import apply_overrides, load_config, parse_config
from infra.config.plans import PLANS
from infra.datastores.mongodb import ATLAS
from infra.report.command import main
from tests.unit.budget_cases import QUICK, Values, all_values, configured

PRODUCTION = Path(__file__).parents[2] / "infra" / "Pulumi.production.yaml"


@QUICK
@given(all_values())
def test_the_most_calls_fit_and_one_more_does_not(values: Values) -> None:
    config = parse_config(values, "test")
    most = most_jobs(config)
    assume(most is not None)
    if most:
        assert solve(apply_overrides(config, {"fleet.jobs": most})).fits
    if most is not None and most < 1_000_000:
        assert not solve(apply_overrides(config, {"fleet.jobs": most + 1})).fits


def test_servers_of_our_own_limit_nothing() -> None:
    assert most_jobs(configured({"mongodb.plan": None, "redis.plan": None})) is None


def test_every_plan_takes_as_many_calls_as_are_said() -> None:
    config = configured()
    by_plan = jobs_by_plan(config, ATLAS)
    assert [one.jobs for one in by_plan] == sorted(one.jobs for one in by_plan)
    for one in by_plan:
        for jobs in (one.jobs, one.jobs + 1):
            changes = plan_changes(one.plan) | {"fleet.jobs": jobs}
            mongodb = solve(apply_overrides(config, changes)).datastores["mongodb"]
            assert mongodb.fits == (jobs == one.jobs), one


@pytest.mark.parametrize("plan", PLANS)
def test_every_plan_can_be_tried_on_any_stack(plan: str) -> None:
    own = {"mongodb.plan": None, "mongodb.cache_mib": 512, "redis.plan": None, "redis.max_memory_mib": 64}
    config = configured(own | {"redis.sentinels": 3, "redis.sentinel_limit": 500})
    assert (
        solve(apply_overrides(config, plan_changes(plan))).datastores[PLANS[plan].family.datastore].plan
        == plan
    )


def test_the_curves_are_the_stack_other_pools_and_the_other_rolling() -> None:
    family, by_label = curves(configured())
    assert family == ATLAS
    assert list(by_label) == [
        "pool 1, fast",
        "pool 2, fast",
        "pool 5, fast",
        "pool 10, fast",
        "pool 2, strict",
    ]


# As a command


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")


def test_what_if_shows_both_and_solves_the_changed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(PRODUCTION), "--jobs", "400", "--what-if", "mongodb.pool=3"]) == 1
    text = capsys.readouterr().out
    assert "What if fleet.jobs: 400, mongodb.pool: 3" in text
    assert "1 593 of 3 000" in text
    assert "3 317 of 3 000 (too many)" in text
    assert "400 calls at once" in text
    assert main([str(PRODUCTION), "--jobs", "400", "--plan", "atlas-m40"]) == 0
    assert "It fits. Up to 950 calls at once would." in capsys.readouterr().out


def test_a_mapping_and_a_key_taken_out(capsys: pytest.CaptureFixture[str]) -> None:
    rolling = "fleet.rolling={mode: strict, surge: 2, failure_spare: 0}"
    assert main([str(PRODUCTION), "--what-if", rolling, "--what-if", "mongodb.consumers=", "--json"]) == 0
    solution = json.loads(capsys.readouterr().out)
    assert solution["fleet"]["workers_at_peak"] == 12
    assert solution["datastores"]["mongodb"]["total"] == 12 * 77 + 30
    assert solution["most_jobs"] == most_jobs(
        apply_overrides(
            load_config(PRODUCTION),
            {"fleet.rolling": {"mode": "strict", "surge": 2, "failure_spare": 0}, "mongodb.consumers": None},
        )
    )


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--what-if", "mongodb.pools=3"], "mongodb.pools: unknown key; did you mean pool?"),
        (["--what-if", "mongodb.pool=many"], 'got "many"; accepted: a whole number from 1 to 1000'),
        (["--what-if", "mongodb.pool"], "accepted: KEY=VALUE"),
        (["--plan", "atlas-m1"], 'got "atlas-m1"; accepted: atlas-m0'),
        (["--jobs", "0"], "fleet.jobs: got 0"),
        (["--from", "nowhere.yaml"], "nowhere.yaml: no such file"),
        (["--pictures", str(PRODUCTION)], "File exists"),
    ],
)
def test_what_cannot_be_asked_is_told(
    arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(PRODUCTION), *arguments]) == 2
    assert problem in capsys.readouterr().err


def test_the_way_to_what_was_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = tmp_path / "Pulumi.old.yaml"
    old.write_text(PRODUCTION.read_text().replace("pool: 2", "pool: 4", 1))
    assert main([str(PRODUCTION), "--from", str(old)]) == 0
    assert main([str(PRODUCTION), "--from", str(old), "--jobs", "475"]) == 1
    assert "do not fit" in capsys.readouterr().out


def test_pictures_are_drawn(tmp_path: Path) -> None:
    assert main([str(PRODUCTION), "--pictures", str(tmp_path / "here")]) == 0
    for name in ("waterfall.png", "jobs-by-plan.png"):
        assert (tmp_path / "here" / name).read_bytes().startswith(b"\x89PNG")
