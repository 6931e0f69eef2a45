"""Records: what this version writes, what others wrote, what was lost or changed by hand, and versions that overlap."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from infra.budget import solve
from infra.config import parse_config
from infra.config.plans import PLANS
from infra.stack.record import KEY, KEY_OF_0_1_0, Record, _entry, entry, parse_record
from infra.stack.rollover import Refused, plan_rollover
from infra.stack.running import Running, Worker
from tests.infra.stack import KIND, changed

Values = dict[str, Any]
LARGER = changed({"fleet.jobs": 16})


def config(values: Values) -> Any:
    return parse_config(values, "test")


def written(*stacks: Values) -> Record:
    """What the program writes when it deploys these one after the other."""
    record = Record()
    for one in stacks:
        record = record.then(entry(config(one), solve(config(one))))
    return record


def read(record: Record | str, key: str = KEY) -> Record:
    """As it comes back from the cluster."""
    text = record if isinstance(record, str) else record.text()
    return parse_record({key: text}, "ConfigMap agents/agent-budgets")


def runs(record: Record, *digests: str, terminating: bool = False) -> Running:
    return Running(tuple(Worker(f"w-{n}", one, terminating) for n, one in enumerate(digests)), record)


def edited(record: Record, **changes: Any) -> str:
    whole = json.loads(record.text())
    whole["budgets"][0]["deployed"] |= changes
    return json.dumps(whole)


def test_what_is_written_is_read_with_its_figures() -> None:
    record = read(written(KIND, LARGER))
    assert record.problems == ()
    assert [one.deployed for one in record.entries] == [one.deployed for one in written(KIND, LARGER).entries]
    assert record.entries[0].deployed.fleet.workers_at_peak == 4


def test_an_old_config_is_never_solved_again() -> None:
    # Another arithmetic and another schema: a digest and figures that nothing here comes to, and a key that is gone.
    found = written(LARGER).entries[0]
    server = replace(found.deployed.datastores["redis"], limit=777)
    old = replace(found.deployed, digest="another", datastores=found.deployed.datastores | {"redis": server})
    record = Record((_entry(old, {"config": {"fleet": {"gone": 3}}}),))
    rollover = plan_rollover(config(KIND), runs(read(record), "another"))
    assert rollover.solution.datastores["redis"].limit == 777
    assert "Run `pulumi up` again" in rollover.note


def test_keys_that_are_not_known_stay_when_the_record_is_written_again() -> None:
    record = written(LARGER)
    values = {**record.entries[0].values, "canary": {"share": 5}}
    newer = Record((_entry(record.entries[0].deployed, values),), rest={"seen": "v9"})
    again = json.loads(plan_rollover(config(KIND), runs(read(newer), record.entries[0].digest)).record.text())
    assert again["seen"] == "v9"
    assert again["budgets"][0]["canary"] == {"share": 5}
    assert read(json.dumps(again)).problems == ()


def test_a_record_of_a_version_to_come_is_refused_only_where_its_figures_are_needed() -> None:
    whole = json.loads(written(LARGER).text()) | {"version": 3}
    record = read(json.dumps(whole))
    plan_rollover(config(KIND), runs(record))
    plan_rollover(config(KIND), runs(record, solve(config(KIND)).digest))
    with pytest.raises(
        Refused, match="is of version 3, this program reads up to 2: use the one that wrote it"
    ):
        plan_rollover(config(KIND), runs(record, solve(config(LARGER)).digest))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "budgets.json is no JSON"),
        ("[]", "is no record of budgets"),
        (edited(written(LARGER), digest="x"), r"budgets\[0\] was changed by hand"),
        (json.dumps({"version": 2, "budgets": [7]}), r"budgets\[0\] is no budget"),
    ],
)
def test_a_record_that_was_changed_by_hand_stops_only_what_needs_it(text: str, message: str) -> None:
    plan_rollover(config(KIND), runs(read(text), solve(config(KIND)).digest))
    with pytest.raises(Refused, match=message) as error:
        plan_rollover(config(KIND), runs(read(text), solve(config(LARGER)).digest))
    assert "python -m infra.adopt" in str(error.value)


def test_workers_without_a_record_are_named_with_what_can_be_done() -> None:
    with pytest.raises(
        Refused, match=r"1 workers run with numbers that are on no record \(w-0\).*infra.adopt"
    ):
        plan_rollover(config(KIND), runs(Record(), "elsewhere"))


def first(*stacks: Values) -> Record:
    """As 0.1.0 wrote it."""
    values = [{key: section for key, section in one.items() if key != "deployment"} for one in stacks]
    return read(json.dumps(values), KEY_OF_0_1_0)


def test_the_first_versions_record_is_read_and_its_digest_is_the_workers() -> None:
    rollover = plan_rollover(config(KIND), runs(first(LARGER), "by-0.1.0"))
    assert "of version 0.1.0 and holds no digests: the workers of budget by-0.1.0 are taken" in rollover.note
    assert [one.digest for one in rollover.record.entries] == ["by-0.1.0", solve(config(KIND)).digest]
    assert (
        rollover.record.entries[0].deployed.datastores["redis"].limit
        == solve(config(LARGER)).datastores["redis"].limit
    )


def test_of_several_configs_without_a_digest_the_dearest_counts() -> None:
    small, large = changed({"fleet.jobs": 4}), LARGER
    rollover = plan_rollover(config(KIND), runs(first(large, small), "by-0.1.0"))
    assert "of the dearest of 2 configs" in rollover.note
    assert rollover.solution.datastores["redis"].limit == solve(config(large)).datastores["redis"].limit


def test_more_strangers_than_configs_are_refused() -> None:
    with pytest.raises(Refused, match="on no record"):
        plan_rollover(config(KIND), runs(first(LARGER), "one", "another"))


def test_a_key_that_is_gone_is_passed_over_and_said() -> None:
    rollover = plan_rollover(config(KIND), runs(first(changed({"fleet.dropped": 3}, LARGER)), "by-0.1.0"))
    assert "fleet.dropped is not known to this version and was passed over" in rollover.note


def test_a_plan_that_takes_less_than_was_thought_does_not_stop_what_makes_it_no_worse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    managed = changed({"mongodb.plan": "atlas-m10", "fleet.jobs": 200, "mongodb.consumers": {}})
    record = written(managed)
    monkeypatch.setitem(PLANS, "atlas-m10", replace(PLANS["atlas-m10"], limit=300))
    smaller = changed({"fleet.jobs": 20}, managed)
    assert record.entries[0].deployed.datastores["mongodb"].total > 300
    note = plan_rollover(config(smaller), runs(record, record.entries[0].digest)).note
    assert "MongoDB takes 300 connections a node, less than was known" in note
    with pytest.raises(Refused, match="Old and new workers together do not fit"):
        plan_rollover(config(changed({"mongodb.pool": 8}, smaller)), runs(record, record.entries[0].digest))


# Four workers of 13, then forty of few connections each: while both are there, up to forty of the dear ones.
DEAR = changed({"fleet.jobs": 8, "fleet.slots": 4, "mongodb.pool": 20})
MANY = changed({"fleet.jobs": 40, "fleet.slots": 1, "mongodb.pool": 1})


def test_going_back_half_way_keeps_what_both_may_hold() -> None:
    dear, many = (solve(config(one)) for one in (DEAR, MANY))
    both = plan_rollover(config(MANY), runs(written(DEAR), dear.digest))
    there = runs(read(both.record), dear.digest, many.digest)
    back = plan_rollover(config(DEAR), there)
    assert [one.digest for one in back.record.entries] == [dear.digest, many.digest, dear.digest]
    assert back.solution.datastores["mongodb"].limit >= both.solution.datastores["mongodb"].limit
    assert plan_rollover(config(DEAR), replace(there, record=read(back.record))).record == back.record


def test_a_third_version_while_two_drain_keeps_what_all_may_hold() -> None:
    dear, many = (solve(config(one)) for one in (DEAR, MANY))
    both = plan_rollover(config(MANY), runs(written(DEAR), dear.digest))
    third = plan_rollover(config(KIND), runs(read(both.record), dear.digest, many.digest))
    assert third.solution.datastores["mongodb"].limit == both.solution.datastores["mongodb"].limit
    assert len(third.record.entries) == 3
    gone = plan_rollover(config(KIND), runs(read(third.record), many.digest))
    assert [one.digest for one in gone.record.entries] == [many.digest, solve(config(KIND)).digest]


def test_back_and_forth_does_not_grow_the_record() -> None:
    record = written(KIND, LARGER, KIND, LARGER, KIND, LARGER)
    assert len(record.entries) == 4
