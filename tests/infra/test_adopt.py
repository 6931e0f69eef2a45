"""Workers without a record: what their values say is assumed of them, and what cannot be known is refused."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from infra.budget import solve
from infra.budget.deployed import deployed
from infra.config import ConfigError, parse_config
from infra.handoff.values import helm_values, read_block
from infra.report.command import main as budget_command
from infra.stack.adopt import Fleet, Found, NotAdopted, adopt
from infra.stack.adopt import main as adopt_command
from infra.stack.record import KEY, Record, parse_record
from infra.stack.rollover import Refused, plan_rollover
from infra.stack.running import Running, Worker
from tests.infra.stack import KIND, changed

LARGER = parse_config(changed({"fleet.jobs": 16}), "test")
SMALLER = parse_config(KIND, "test")
BUDGET = deployed(solve(LARGER))
# As helm leaves them: no digest on the pod, the checksum of its variables instead.
HELMS = Worker("w-1", "", terminating=False, checksum="c0ffee")
FLEET = Fleet("agent-worker", BUDGET.digest, "c0ffee")
FOUND = Found((HELMS, replace(HELMS, name="w-2")), (FLEET,), (BUDGET.fleet.workers_at_peak,))


def values(chart: str = "agent-worker", **changes: Any) -> str:
    """What helm says that it was given."""
    found = helm_values(solve(LARGER), ())[chart]
    found["budget"] |= changes
    text = io.StringIO()
    YAML().dump({"agentName": "assistant", **found}, text)
    return text.getvalue()


def test_what_helm_installed_is_known_by_its_values_and_its_pods_checksum() -> None:
    assert read_block(values(), "helm") == BUDGET
    record, report = adopt(BUDGET, FOUND, Record())
    assert report[0] == f"2 workers run with budget {BUDGET.digest}. Assumed of them:"
    assert "never more than 8 at once, terminating ones included (held by the quota)" in report[1]
    assert "MongoDB 14 each of 136 a node" in report[2]
    assert not [line for line in report if "not known" in line]
    again = parse_record({KEY: record.text()}, "adopted")
    assert again.entries[0].checksums == ["c0ffee"]
    workers = tuple(replace(one, budget=again.entries[0].digest) for one in FOUND.workers)
    rollover = plan_rollover(SMALLER, Running(workers, again))
    assert rollover.solution.datastores["mongodb"].limit == BUDGET.datastores["mongodb"].limit
    assert rollover.record.entries[0].checksums == ["c0ffee"]


def test_a_lost_record_is_found_again_by_the_digest_on_the_pods() -> None:
    carried = replace(HELMS, budget=BUDGET.digest)
    record, _ = adopt(BUDGET, replace(FOUND, workers=(carried,), fleets=()), Record())
    assert record.entries[0].deployed == BUDGET


def test_pods_of_an_earlier_revision_stay_unknown_and_are_named() -> None:
    old = replace(HELMS, name="w-0", checksum="older")
    record, report = adopt(BUDGET, replace(FOUND, workers=(old, HELMS)), Record())
    assert "not known: w-0: of an earlier revision" in report[-1]
    there = (old, replace(HELMS, budget=BUDGET.digest))
    with pytest.raises(Refused, match=r"1 workers run with numbers that are on no record \(w-0\)"):
        plan_rollover(SMALLER, Running(there, record))


def test_adopting_twice_says_the_same_and_another_budget_is_kept_beside_it() -> None:
    once, _ = adopt(BUDGET, FOUND, Record())
    assert adopt(BUDGET, FOUND, once)[0] == once
    other = replace(BUDGET, digest="of-another-deployment")
    both, _ = adopt(other, replace(FOUND, fleets=(Fleet("b", other.digest, "c0ffee"),)), once)
    assert [one.digest for one in both.entries] == [BUDGET.digest, other.digest]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (
            replace(FOUND, fleets=(replace(FLEET, digest="elsewhere"),)),
            f"no worker runs with budget {BUDGET.digest}; there: elsewhere. Accepted: the values that the Deployment",
        ),
        (Found((), (), ()), "there: no workers"),
        (replace(FOUND, quotas=(40,)), "the quota allows 40 pods, the values count 8"),
        (replace(FOUND, workers=FOUND.workers * 5, quotas=()), "10 workers are there, the values count 8"),
    ],
)
def test_what_cannot_be_known_is_refused(found: Found, message: str) -> None:
    with pytest.raises(NotAdopted, match=message):
        adopt(BUDGET, found, Record())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (values(digest="x"), "budget: changed after it was solved: its seal does not match"),
        (
            values("redis"),
            "fleet: Field required: the block of another chart; accepted: that of charts/agent-w",
        ),
        ("agentName: a\n", "budget: missing; accepted: the values of charts/agent-worker"),
        ("a: [", "not YAML"),
    ],
)
def test_values_that_are_none_are_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_block(text, "values.yaml")


def test_the_commands_take_a_values_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, stack = tmp_path / "agent-worker.yaml", tmp_path / "Pulumi.new.yaml"
    file.write_text(values())
    stack.write_text("config:\n  agent-datastores:fleet: {jobs: 8, slots: 4, max_call_seconds: 60}\n")
    assert budget_command(["--from", str(file), str(stack)]) == 0
    assert f"budget {BUDGET.digest} → " in capsys.readouterr().out
    assert adopt_command(["--namespace", "agents", str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml" in capsys.readouterr().err
    assert adopt_command(["--namespace", "agents", "--context", "no-such-context", str(file)]) == 1
    assert "context no-such-context: the cluster cannot be asked" in capsys.readouterr().err
