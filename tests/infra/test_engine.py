"""The real Pulumi engine against a real API server: what is refused, deployed, left alone, changed, kept and taken."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.kind.pulumi_stack import PulumiStack
from infra.stackfile import read_stack_file
from tests.infra.control_plane import ControlPlane, control_plane
from tests.infra.engine import stack_of
from tests.infra.provider.projection import projected
from tests.infra.stack import KIND, PROGRAM, changed, rendered

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(900),
    # The API server makes its certificate by itself at each start.
    pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning"),
]
LARGER = changed({"fleet.jobs": 16})
LIMIT = re.compile(r"maxIncomingConnections: (\d+)")


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    programs = pytest.importorskip("infra.kind.programs").programs
    with control_plane(programs(), tmp_path_factory.mktemp("control-plane")) as running:
        yield running


@pytest.fixture(scope="module")
def stack(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> PulumiStack:
    # No example's name: `pulumi stack init` writes into the file of that name.
    return stack_of(tmp_path_factory.mktemp("stack"), f"test-{secrets.token_hex(4)}", plane.kubeconfig)


def limit(plane: ControlPlane) -> int:
    """What mongod would be told."""
    config = plane.api.get("/api/v1/namespaces/agents/configmaps/mongodb")
    found = LIMIT.search(config["data"]["mongod.conf"]) if config else None
    assert found
    return int(found[1])


# The tests below are one story, in this order.


def test_a_stack_that_does_not_fit_is_refused_in_the_preview_with_the_solvers_words(
    stack: PulumiStack,
) -> None:
    stack.configure(changed({"mongodb.limit": 40}))
    answer = stack.preview()
    assert answer.status != 0
    assert "MongoDB: 80 connections a node, the limit is 40: 40 too many." in answer.text
    assert "Any one of these would fit (each has been solved again):" in answer.text


def test_the_policy_refuses_in_the_preview_what_a_chart_would_have_taken(stack: PulumiStack) -> None:
    stack.configure(
        changed({"deployment.values": {"agent-worker": {"env": {"CACHE": "redis://me:hidden@x/0"}}}})
    )
    answer = stack.preview()
    assert answer.status != 0
    assert "data.CACHE holds an address with a password" in answer.text


def test_the_first_up_makes_everything(stack: PulumiStack, plane: ControlPlane) -> None:
    stack.configure(KIND)
    answer = stack.up()
    assert answer.status == 0, answer.text
    assert "39 created" in answer.text
    workers = [pod for pod in plane.pods("agents") if "agent-worker" in pod["metadata"]["name"]]
    assert len([pod for pod in workers if pod["status"]["phase"] == "Running"]) == 2


def test_the_second_up_changes_nothing_and_a_refresh_sees_no_drift(stack: PulumiStack) -> None:
    again = stack.up("--expect-no-changes")
    assert again.status == 0, again.text
    refreshed = stack.run("refresh", "--yes", "--expect-no-changes")
    assert refreshed.status == 0, refreshed.text


def test_the_state_holds_no_secret_in_clear(stack: PulumiStack, plane: ControlPlane) -> None:
    exported = stack.run("stack", "export").text
    assert "ciphertext" in exported
    secret = plane.api.get("/api/v1/namespaces/agents/secrets/agent-worker")
    assert secret
    known = json.loads(stack.run("config", "--json", "--show-secrets").text)
    passwords = [one["value"] for key, one in known.items() if key.startswith("agent-secrets:")]
    assert len(passwords) == 6
    assert not [value for value in passwords if value in exported]


def test_a_change_by_hand_is_seen_as_drift_and_put_right(stack: PulumiStack, plane: ControlPlane) -> None:
    quota = "/api/v1/namespaces/agents/resourcequotas/agent-worker"
    body = {"spec": {"hard": {"pods": "40"}}}
    plane.api.request("PATCH", quota, body=body, content="application/merge-patch+json")
    assert stack.run("refresh", "--yes", "--expect-no-changes").status != 0
    assert stack.up().status == 0
    live = plane.api.get(quota)
    assert live
    assert live["spec"]["hard"]["pods"] == "4"


def test_growing_takes_one_up(stack: PulumiStack, plane: ControlPlane) -> None:
    stack.configure(LARGER)
    answer = stack.up()
    assert answer.status == 0, answer.text
    assert limit(plane) == 136


def test_a_shrink_rolls_the_fleet_first_and_is_refused_while_old_workers_terminate(
    stack: PulumiStack, plane: ControlPlane
) -> None:
    # The quota lets a new worker in when an old one has gone, so the rollout takes one drain; a second one follows it.
    plane.drain_seconds = 90
    stack.configure(KIND)
    first = stack.up()
    assert first.status == 0, first.text
    assert "Run `pulumi up` again when the last of them is gone" in first.text
    assert limit(plane) == 136
    second = stack.up()
    assert second.status != 0
    assert "old workers still terminate" in second.text
    assert limit(plane) == 136
    plane.drain_seconds = 0


def test_the_servers_shrink_when_the_last_old_worker_is_gone(stack: PulumiStack, plane: ControlPlane) -> None:
    plane.wait_gone("agents")
    assert stack.up().status == 0
    assert limit(plane) == 80
    assert stack.up("--expect-no-changes").status == 0


def test_destroy_leaves_the_data_until_it_was_told_twice(stack: PulumiStack, plane: ControlPlane) -> None:
    claims = "/api/v1/namespaces/agents/persistentvolumeclaims"
    assert stack.run("destroy", "--yes").status == 0
    assert plane.api.get("/apis/apps/v1/namespaces/agents/statefulsets/mongodb") is None
    assert [one["metadata"]["name"] for one in plane.api.request("GET", claims)[0]["items"]] == [
        "data-mongodb-0"
    ]
    stack.configure(changed({"deployment.data": "delete"}))
    assert stack.up().status == 0
    assert stack.run("destroy", "--yes").status == 0
    assert plane.api.get("/api/v1/namespaces/agents") is None


@pytest.mark.parametrize("example", ["kind", "production"])
def test_every_object_is_accepted_without_a_warning_or_a_dropped_field(
    plane: ControlPlane, example: str
) -> None:
    values, problems = read_stack_file(Path(PROGRAM) / f"Pulumi.{example}.yaml")
    assert not problems
    name = f"dry-{example}"
    values = changed({"deployment.namespace": name}, values)
    labels = {
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/warn": "restricted",
    }
    plane.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    for item in rendered(values):
        asked = {key: value for key, value in item.items() if key not in ("pulumiType", "urn")}
        if asked["kind"] == "Namespace":
            continue
        applied = plane.api.apply(plain(asked), dry_run=True)
        assert applied.warnings == ()
        assert projected(applied.live, plain(asked)) == plain(asked)


def plain(item: dict[str, object]) -> dict[str, object]:
    """Without Pulumi's mark of a secret."""
    return {
        key: value["value"]
        if isinstance(value, dict) and set(value) >= {"value"} and len(value) == 2
        else value
        for key, value in item.items()
    }
