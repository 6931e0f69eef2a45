"""From every release to what is here: nothing is refused, nothing is replaced, no name is gone without a word.

The folders beside this file are what releases wrote, each kept once by its own code (keep.py).
"""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.budget import solve
from infra.budget.deployed import deployed, figures
from infra.config import parse_config
from infra.config.plans import PLANS
from infra.stack.record import parse_record
from infra.stack.running import Running, Worker
from tests.charts.render import objects, template
from tests.infra.stack import SECRETS, deploy, rendered
from tests.infra.test_policy import refusals
from tests.upgrade import keep

HERE = Path(__file__).parent
RELEASES = sorted(path.parent.name for path in HERE.glob("*/stacks.json"))
UPGRADING = (HERE.parents[1] / "UPGRADING.md").read_text()
STACKS = ("kind", "cells", "production", "strict")
# What Kubernetes lets nobody change: another value is another object.
FIXED = {
    "Deployment": ("spec.selector",),
    "StatefulSet": (
        "spec.selector",
        "spec.serviceName",
        "spec.volumeClaimTemplates",
        "spec.podManagementPolicy",
    ),
    "PersistentVolumeClaim": ("spec",),
    "PriorityClass": ("value", "preemptionPolicy"),
    "Service": ("spec.clusterIP",),
}
# Named by what it runs with: a new one is made beside the old.
NAMED_ANEW = ("Job",)

Item = dict[str, Any]

releases = pytest.mark.parametrize("release", RELEASES)
each_stack = pytest.mark.parametrize("name", STACKS)


@functools.cache
def kept(release: str, what: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / release / f"{what}.json").read_text())
    return found


def runs(stack: dict[str, Any], digest: str = "") -> dict[str, Running]:
    """The namespaces of a stack, as the release left them."""
    found = {}
    for chart, block in stack["blocks"].items():
        namespace = chart.removesuffix("-agent-worker")
        workers = (Worker(f"{chart}-0", digest or block["digest"], terminating=False),)
        found[namespace] = Running(workers, parse_record(stack["records"][namespace], namespace))
    return found


def up(release: str, name: str, digest: str = "") -> Any:
    stack = kept(release, "stacks")[name]
    return deploy(stack["config"], secrets=SECRETS, runs=runs(stack, digest))


@releases
@each_stack
def test_pulumi_up_of_the_same_stack_is_refused_by_nothing(release: str, name: str) -> None:
    up(release, name)


@releases
@each_stack
def test_nor_is_it_when_the_digest_is_no_longer_what_it_was(release: str, name: str) -> None:
    """One more key, however small its default."""
    notes = up(release, name, digest="of-that-release").outputs["next"]
    assert release != "0.1.0" or [note for note in notes if "holds no digests" in note]


@releases
def test_a_plans_limit_is_corrected_over_running_workers(
    release: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PLANS, "atlas-m20", replace(PLANS["atlas-m20"], limit=2_900))
    done = up(release, "production")
    budget = done.recorded.charts()["agents-agent-worker"]["budget"]
    assert budget["datastores"]["mongodb"]["limit"] == 2_900
    assert (
        budget["digest"] != kept(release, "stacks")["production"]["blocks"]["agents-agent-worker"]["digest"]
    )


@releases
@each_stack
def test_what_its_record_comes_to_is_what_its_workers_were_given(release: str, name: str) -> None:
    """A record without figures is solved here: to the same connections."""
    stack = kept(release, "stacks")[name]
    for chart, block in stack["blocks"].items():
        record = parse_record(stack["records"][chart.removesuffix("-agent-worker")], "record")
        given, (entry,) = figures(block), record.entries
        # 0.1.0 recorded the config alone, so that its times are what this version allows; never less than it gave.
        assert (
            entry.deployed.time.termination_grace_period_seconds
            >= given.time.termination_grace_period_seconds
        )
        time = given.time if release == "0.1.0" else entry.deployed.time
        assert replace(entry.deployed, digest=given.digest, time=time) == given


@releases
@each_stack
def test_equal_digests_are_equal_figures(release: str, name: str) -> None:
    """Where arithmetic changes, what changed belongs into `budget.digest`: by it workers are told apart."""
    stack = kept(release, "stacks")[name]
    now_solved = deployed(solve(parse_config(stack["config"], name)))
    for given in map(figures, stack["blocks"].values()):
        assert now_solved.digest != given.digest or now_solved == given


@functools.cache
def now(release: str, name: str) -> dict[str, Any]:
    """The same stack by the code that is here."""
    return keep.stack(kept(release, "stacks")[name]["config"], SECRETS)


@releases
@each_stack
def test_no_resource_gets_another_urn(release: str, name: str) -> None:
    known = {urn for one in now(release, name)["resources"] for urn in (one["urn"], *one["aliases"])}
    assert not [
        one["urn"]
        for one in kept(release, "stacks")[name]["resources"]
        if one["urn"] not in known and not told(one["urn"])
    ]


@releases
@each_stack
def test_no_object_of_a_stack_is_replaced_or_loses_a_label_or_key(release: str, name: str) -> None:
    assert not changes(kept(release, "stacks")[name]["objects"], now(release, name)["objects"])


@releases
def test_the_policy_passes_what_is_deployed_over_it(release: str) -> None:
    stack = kept(release, "stacks")["kind"]
    items = rendered(stack["config"], secrets=SECRETS, runs=runs(stack, "of-that-release"))
    assert refusals(stack["config"], items) == []


@pytest.mark.parametrize(
    ("release", "scenario"), [(release, one) for release in RELEASES for one in kept(release, "charts")]
)
def test_helm_upgrade_with_its_values_is_refused_by_nothing_and_replaces_nothing(
    release: str, scenario: str
) -> None:
    before = kept(release, "charts")[scenario]
    after = objects(template(before["chart"], before["values"], stack=None))
    assert not changes(before["objects"], after)


@releases
def test_no_name_that_others_use_is_gone(release: str) -> None:
    before, after = kept(release, "names"), keep.names()
    gone = [
        f"{chart}: {key}"
        for chart, keys in before["values"].items()
        for key in set(keys) - set(after["values"][chart])
    ]
    for what in ("metrics", "rules", "variables"):
        gone += set(before[what]) - set(after[what])
    assert not [one for one in gone if not told(one)]


def told(*names: str) -> bool:
    """Whether UPGRADING.md has a line about it."""
    return any(all(f"`{name}`" in line for name in names) for line in UPGRADING.split("\n- "))


def changes(before: list[Item], after: list[Item]) -> list[str]:
    """What would be replaced, or what others could miss, and UPGRADING.md does not say."""
    there = {key(one): one for one in after}
    found = []
    for one in before:
        if one["kind"] in NAMED_ANEW:
            continue
        other, name = there.get(key(one)), one["metadata"]["name"]
        if other is None:
            found += [] if told(name) else [f"{key(one)} is gone"]
            continue
        for path in FIXED.get(one["kind"], ()):
            if at(one, path) != at(other, path):
                found.append(f"{key(one)}: {path} is another")
        labels = set(one["metadata"].get("labels", {})) - set(other["metadata"].get("labels", {}))
        found += [f"{key(one)}: label {label}" for label in labels if not told(label)]
        if one["kind"] == "ConfigMap":
            keys = set(one.get("data", {})) - set(other.get("data", {}))
            found += [f"{key(one)}: key {gone}" for gone in keys if not told(name, gone)]
    return found


def key(one: Item) -> tuple[str, str, str]:
    return one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]


def at(one: Any, path: str) -> Any:
    for step in path.split("."):
        one = one.get(step) if isinstance(one, dict) else None
    return one
