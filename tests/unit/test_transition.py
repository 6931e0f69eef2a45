"""A change of a running stack: what both fleets hold together, in which steps it goes, when it is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given

from infra.budget import mix, solve
from infra.budget.deployed import deployed
from infra.budget.transition import Transition, plan_transition, while_both_run
from infra.config import StackConfig, parse_config
from infra.report.command import main
from infra.report.transition import refusal
from tests.unit.budget_cases import QUICK, all_values, configured

CONFIGS = all_values().map(lambda values: parse_config(values, "test"))
OWN = {"mongodb.plan": None, "redis.plan": None}


def planned(old: StackConfig, new: StackConfig) -> Transition:
    return plan_transition([deployed(solve(old))], new, old)


def change(before: dict[str, Any], after: dict[str, Any]) -> Any:
    return planned(configured(before), configured(after))


def fleets(old: StackConfig, new: StackConfig, name: str) -> int:
    mixed = mix([deployed(solve(old))], deployed(solve(new))).datastores[name]
    (row,) = (row for row in mixed.rows if row.name == "both fleets")
    return row.connections


@QUICK
@given(CONFIGS, CONFIGS)
def test_no_mix_of_pods_that_the_quotas_allow_holds_more_and_one_holds_as_much(
    old: StackConfig, new: StackConfig
) -> None:
    before, after = solve(old), solve(new)
    most_old, quota = before.fleet.workers_at_peak, after.fleet.workers_at_peak
    assume(most_old <= 300 and quota <= 300)
    for name, mixed in mix([deployed(before)], deployed(after)).datastores.items():
        if mixed.moves:
            continue
        cost_old = before.datastores[name].connections_per_worker
        cost_new = after.datastores[name].connections_per_worker
        dearest = max(
            old_pods * cost_old + new_pods * cost_new
            for old_pods in range(max(most_old, quota) + 1)
            for new_pods in {0, max(quota - old_pods, 0)}
            if old_pods <= most_old or old_pods + new_pods <= quota
        )
        assert fleets(old, new, name) == dearest


@QUICK
@given(CONFIGS)
def test_a_change_to_the_same_config_takes_one_up_and_no_more_connections(config: StackConfig) -> None:
    transition = planned(config, config)
    assert not transition.two_ups
    for name, mixed in transition.mixed.datastores.items():
        assert mixed.total == transition.new.datastores[name].total
        assert not mixed.restarts_before
    assert transition.fits == transition.new.fits


@QUICK
@given(CONFIGS, CONFIGS)
def test_a_server_of_our_own_always_takes_both_fleets_and_a_detour_has_two_halves_that_fit(
    old: StackConfig, new: StackConfig
) -> None:
    transition = planned(old, new)
    for mixed in transition.mixed.datastores.values():
        if mixed.server_during:
            assert mixed.fits
            assert mixed.limit_during >= max(mixed.total, mixed.limit_after)
    if middle := transition.detour:
        assert planned(old, middle).fits
        assert planned(middle, new).fits


@QUICK
@given(CONFIGS, CONFIGS, CONFIGS)
def test_three_versions_at_once_hold_no_less_than_any_two_of_them(
    first: StackConfig, second: StackConfig, third: StackConfig
) -> None:
    a, b, c = (deployed(solve(one)) for one in (first, second, third))
    for name, mixed in mix([a, b], c).datastores.items():
        for two in (mix([a], b), mix([a], c), mix([b], c)):
            other = two.datastores.get(name)
            if (
                other
                and not (mixed.moves or other.moves)
                and not any(mix([one], c).datastores[name].moves for one in (a, b) if name in one.datastores)
            ):
                assert mixed.total >= other.total
                assert not mixed.server_during or mixed.limit_during >= other.total


def test_growing_raises_the_server_before_the_fleet_in_one_up() -> None:
    transition = change(OWN | {"fleet.jobs": 50}, OWN)
    (step,) = transition.steps
    assert step.title == "pulumi up"
    assert step.effects[0].startswith("MongoDB before the fleet: limit 328 → 1 560; the server restarts")
    assert "pod quota 4 → 20, then the fleet rolls" in step.effects[2]


def test_shrinking_keeps_the_server_as_it_is_until_the_last_old_worker_is_gone() -> None:
    transition = change(OWN, OWN | {"fleet.jobs": 50})
    first, second = transition.steps
    assert not [effect for effect in first.effects if "restarts" in effect]
    assert second.title.startswith("pulumi up again, when the last old worker is gone, ")
    assert second.effects[0] == "MongoDB: limit 1 560 → 328; the server restarts, calls reconnect"
    held = while_both_run(transition).datastores["mongodb"]
    assert held.server == transition.old[-1].datastores["mongodb"].server
    assert held.limit == 1560


def test_a_larger_plan_comes_first_and_a_smaller_one_last() -> None:
    larger, *_ = change({}, {"mongodb.plan": "atlas-m40"}).steps
    assert larger.title == "at the provider, before anything else"
    assert larger.effects == ("MongoDB: plan atlas-m40, 3 000 → 6 000 a node",)
    *_, smaller = change({"mongodb.plan": "atlas-m40"}, {}).steps
    assert smaller.title.startswith("at the provider, when the last old worker is gone")


def test_another_provider_is_a_move_and_its_data_is_nobodys_work_here() -> None:
    transition = change({}, {"mongodb.plan": "documentdb-serverless-8"})
    assert transition.mixed.datastores["mongodb"].moves
    assert transition.steps[-1].effects == (
        "MongoDB becomes another server: its data is not moved by this program",
    )


# 20 workers of 77 are 1 540; 100 workers of 12 are 1 200; together 20 × 77 + 80 × 12 = 2 500.
TOO_MANY_TOGETHER = {"mongodb.plan": None, "mongodb.limit": 1700}
FINER = TOO_MANY_TOGETHER | {"fleet.slots": 5, "mongodb.pool": 1}


def test_two_fleets_that_fit_alone_but_not_together_are_refused_with_the_way_round() -> None:
    transition = change(TOO_MANY_TOGETHER, FINER)
    assert transition.old_fits
    assert transition.new.fits
    assert not transition.fits
    assert not transition.steps
    text = refusal(transition)
    assert "MongoDB by 6 020 connections (7 720 of 1 700)" in text
    assert "Go half-way first: fleet.jobs: 50 with fleet.slots: 5, mongodb.pool: 1" in text


def stack(directory: Path, name: str, fleet: str, mongodb: str) -> str:
    path = directory / f"Pulumi.{name}.yaml"
    path.write_text(f"config:\n  agent-datastores:fleet: {fleet}\n  agent-datastores:mongodb: {mongodb}\n")
    return str(path)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    old = stack(tmp_path, "old", "{jobs: 250, slots: 25, max_call_seconds: 600}", "{limit: 1700}")
    new = stack(tmp_path, "new", "{jobs: 250, slots: 5, max_call_seconds: 600}", "{limit: 1700, pool: 1}")
    return old, new


def test_the_command_says_whether_the_change_fits(
    pair: tuple[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    old, new = pair
    assert main(["--from", old, old]) == 0
    assert "It fits. The steps:" in capsys.readouterr().out
    assert main(["--from", old, new]) == 1
    assert "100 workers of either × 77  = 7 700" in capsys.readouterr().out
    assert main(["--from", old, new, "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["datastores"]["mongodb"]["fits"] is False
    assert answer["detour"]["fleet"]["jobs"] == 50
    assert main(["--from", "nowhere.yaml", new]) == 2
    assert "nowhere.yaml: no such file" in capsys.readouterr().err
