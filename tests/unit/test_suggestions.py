"""What the budget suggests when it does not fit: the right keys, and always something that fits."""

from __future__ import annotations

from hypothesis import assume, given

from infra.budget import solve
from infra.budget.suggestions import suggest
from infra.config import apply_overrides, parse_config
from tests.unit.budget_cases import QUICK, Values, all_values, configured

PYMONGO_DEFAULTS = {"mongodb.pool": 100, "mongodb.monitoring": "stream"}


def changes_of(changes: dict[str, object]) -> list[dict[str, object]]:
    return [suggestion.changes for suggestion in suggest(configured(changes))]


@QUICK
@given(all_values())
def test_every_suggestion_fits_and_what_fits_gets_none(values: Values) -> None:
    config = parse_config(values, "test")
    suggestions = suggest(config)
    if solve(config).fits:
        assert suggestions == ()
    for suggestion in suggestions:
        assert solve(apply_overrides(config, suggestion.changes)).fits, suggestion
        assert suggestion.text


@QUICK
@given(all_values())
def test_a_suggested_pool_or_promise_is_the_largest_that_fits(values: Values) -> None:
    config = parse_config(values, "test")
    assume(not solve(config).fits)
    for suggestion in suggest(config):
        for key in ("mongodb.pool", "redis.pool", "fleet.jobs"):
            if list(suggestion.changes) == [key] and "cells" not in suggestion.text:
                value = suggestion.changes[key]
                assert isinstance(value, int)
                assert not solve(apply_overrides(config, {key: value + 1})).fits


def test_pymongos_defaults_are_answered_with_a_pool_or_a_plan() -> None:
    assert changes_of(PYMONGO_DEFAULTS) == [{"mongodb.pool": 3}, {"mongodb.plan": "atlas-m80"}]


def test_polling_alone_is_suggested_where_it_is_enough() -> None:
    # 20 × (25 × 6 + 3) + 30 = 3 090; polling saves 20 × 26.
    changes = changes_of({"mongodb.pool": 4, "mongodb.monitoring": "stream"})
    assert {"mongodb.monitoring": "poll"} in changes
    assert {"mongodb.pool": 3} in changes


def test_strict_rolling_is_suggested_with_the_largest_surge_that_fits() -> None:
    changes = changes_of({"mongodb.plan": "atlas-m10", "fleet.rolling.surge": 9})
    assert {"fleet.rolling": {"mode": "strict", "surge": 8, "failure_spare": 1}} in changes


def test_fewer_rollouts_in_a_grace_period_are_suggested() -> None:
    changes = changes_of({"mongodb.plan": "atlas-m20", "fleet.rolling.rollouts_per_grace_period": 5})
    assert {"fleet.rolling.rollouts_per_grace_period": 2} in changes


def test_a_combination_is_suggested_only_when_no_single_change_is_enough() -> None:
    single = changes_of({"mongodb.plan": "atlas-m10"})
    assert {"mongodb.pool": 1} in single
    # A limit on both sides that one change cannot meet.
    both = changes_of(
        {"mongodb.plan": "atlas-m10", "redis.plan": None, "redis.limit": 600, "fleet.rolling.surge": 3}
    )
    assert {"mongodb.pool": 1, "redis.pool": 1} in both
    assert all(len(changes) == 2 for changes in both if "redis.pool" in changes)


def test_fewer_calls_and_cells_are_suggested() -> None:
    texts = [suggestion.text for suggestion in suggest(configured({"mongodb.plan": "atlas-m10"}))]
    # 18 workers at the peak hold 9 × 25 calls and 18 × 77 + 30 = 1 416 connections; 20 would hold 1 570.
    assert "fleet.jobs: 225 (the most calls at once that fit as it is)" in texts
    assert "fleet.cells: 2 (fleets of 125 calls, each with datastores of its own)" in texts


def test_a_plain_limit_is_answered_with_the_limit_it_would_take() -> None:
    changes = changes_of({"mongodb.plan": None, "mongodb.limit": 1500})
    assert {"mongodb.limit": 1560} in changes
    sentinels = changes_of({"redis.plan": None, "redis.sentinels": 3, "redis.sentinel_limit": 100})
    assert {"redis.sentinel_limit": 20 * 26 + 2 + 10} in sentinels


def test_no_larger_plan_is_made_up() -> None:
    changes = changes_of({"mongodb.plan": "atlas-m300", "mongodb.pool": 1000})
    assert not any("mongodb.plan" in change for change in changes)


def test_a_further_datastore_is_named_by_its_own_key() -> None:
    changes = changes_of({"datastores.weaviate": {"limit": 1600, "pool": 5}})
    assert {"datastores.weaviate.pool": 2} in changes
    assert {"datastores.weaviate.limit": 20 * (25 * 6 + 2) + 20} in changes
