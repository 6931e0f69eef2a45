"""What the Pulumi program deploys, and what it refuses in the preview already, under mocks."""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pytest

from infra.budget import digest, solve
from infra.capacity import capacity
from infra.config import parse_config
from infra.running import Running, Worker
from infra.values import helm_values
from tests.infra.stack import KIND, SECRETS, changed, deploy

HIDDEN = "hidden-"


def running(base: dict[str, Any], *, terminating: bool, newest: dict[str, Any] | None = None) -> Running:
    """A namespace with two workers of `base`; on record with whatever was deployed since."""
    config = parse_config(base, "test")
    record = [config, *([parse_config(newest, "test")] if newest else [])]
    workers = tuple(Worker(f"agent-worker-{n}", digest(config), terminating) for n in (1, 2))
    return Running(workers, tuple(record))


def refused(values: dict[str, Any], **options: Any) -> str:
    with pytest.raises(pulumi.RunError) as error:
        deploy(values, **options)
    return str(error.value)


def test_the_charts_get_the_solved_budget_and_names_of_secrets_but_no_secret() -> None:
    recorded = deploy(KIND).recorded
    charts = recorded.charts()
    config = parse_config(KIND, "test")
    solution = solve(config)
    budgets = helm_values(solution, capacity(config))
    for name in ("agent-worker", "mongodb", "redis"):
        assert charts[f"agents-{name}"]["budget"] == budgets[name]["budget"]
    assert HIDDEN not in json.dumps(charts)
    assert charts["agents-agent-worker"]["secrets"]["MONGODB_URL"] == {"existingSecret": "agent-worker"}
    assert charts["agents-agent-worker"]["podAnnotations"] == {"agent-datastores/budget": solution.digest}
    assert charts["agents-mongodb"]["auth"]["existingSecret"] == "mongodb-users"


def test_the_dashboard_of_capacity_is_told_what_the_datastores_would_take() -> None:
    series = deploy(changed({"deployment.monitoring": True})).recorded.charts()["agents-monitoring"][
        "budget"
    ]["series"]
    rooms = [one["labels"] for one in series if one["record"] == "agent_budget:jobs_fit"]
    assert {(room["datastore"], room["plan"]) for room in rooms} >= {("mongodb", "today"), ("redis", "today")}


def test_addresses_of_our_own_servers_are_made_with_their_passwords_and_marked_as_secret() -> None:
    secret = deploy(KIND).recorded.named("Secret", "agents-agent-worker")["stringData"]
    assert len(secret) == 2  # Pulumi's mark of a secret, and the value
    urls = secret["value"]
    assert urls["MONGODB_URL"].startswith(
        "mongodb://app:hidden-mongodb-app-password%2F%3F@mongodb.agents.svc"
    )
    assert urls["REDIS_URL"].startswith("redis://app:hidden-redis-app-password%2F%3F@redis.agents.svc:6379")


def test_outputs_hold_the_budget_the_endpoints_and_no_secret() -> None:
    outputs = deploy(KIND).outputs
    assert outputs["budget"]["fits"] is True
    assert "8 calls at once" in outputs["budget_table"]
    assert outputs["endpoints"]["agents"]["livekit"] == "ws://livekit.agents.svc:7880"
    assert HIDDEN not in json.dumps(outputs)


def test_cells_are_namespaces_with_datastores_and_a_fleet_each() -> None:
    charts = deploy(changed({"fleet.cells": 2})).recorded.charts()
    assert {f"agents-{cell}-{chart}" for cell in (1, 2) for chart in ("agent-worker", "mongodb")} <= set(
        charts
    )
    for cell in (1, 2):
        assert charts[f"agents-{cell}-agent-worker"]["budget"]["fleet"]["jobs"] == 4


MANAGED = changed(
    {
        "mongodb.plan": "atlas-m20",
        "redis.plan": "elasticache-node",
        "deployment.livekit": "external",
        "deployment.livekit_url": "wss://example.livekit.cloud",
        "deployment.secrets": {"source": "existing", "worker": "my-secret"},
    }
)


def test_managed_servers_and_existing_secrets_make_neither() -> None:
    recorded = deploy(MANAGED, secrets={}).recorded
    assert set(recorded.charts()) == {"agents-agent-worker"}
    assert not [one for one in recorded.resources if one.typ == "kubernetes:core/v1:Secret"]
    worker = recorded.charts()["agents-agent-worker"]
    assert worker["secrets"]["REDIS_URL"] == {"existingSecret": "my-secret"}
    assert worker["env"] == {"LIVEKIT_URL": "wss://example.livekit.cloud"}


def test_external_secrets_name_the_store_and_hold_no_value() -> None:
    values = changed({"deployment.secrets": {"source": "external", "store": "vault"}}, MANAGED)
    secret = deploy(values, secrets={}).recorded.named("ExternalSecret", "agents-agent-worker")
    assert secret["spec"]["secretStoreRef"] == {"name": "vault", "kind": "ClusterSecretStore"}
    assert {one["secretKey"] for one in secret["spec"]["data"]} >= {"MONGODB_URL", "LIVEKIT_API_SECRET"}


def test_labels_and_registry_reach_every_chart_and_own_values_win() -> None:
    values = changed(
        {
            "deployment.labels": {"team": "voice"},
            "deployment.image_registry": "registry.example:5000",
            "deployment.values": {"redis": {"persistence": {"mode": "aof"}}},
        }
    )
    charts = deploy(values).recorded.charts()
    assert all(one["extraLabels"] == {"team": "voice"} for one in charts.values())
    assert all(one["imageRegistry"] == "registry.example:5000" for one in charts.values())
    assert charts["agents-redis"]["persistence"] == {"mode": "aof"}
    assert charts["agents-redis"]["auth"] == {"existingSecret": "redis-users"}


def test_an_operator_is_a_release_of_its_own_version_and_namespace() -> None:
    operator = {
        "chart": "o",
        "repository": "https://charts.example/o",
        "version": "1.0.0",
        "namespace": "operators",
    }
    recorded = deploy(changed({"deployment.operators": {"psmdb": operator}})).recorded
    release = recorded.named("Release", "psmdb")
    assert release["version"] == "1.0.0"
    assert release["createNamespace"] is True


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mongodb.limit": 40}, "MongoDB: 80 connections a node, the limit is 40: 40 too many"),
        ({"mongodb.limit": 40}, "Any one of these would fit (each has been solved again):\n  - "),
        ({"redis.limit": 10}, "Redis: 47 connections a node, the limit is 10"),
        (
            {"mongodb.pool": 0},
            "agent-datastores:mongodb.pool: got 0; accepted: a whole number from 1 to 1000",
        ),
        ({"mongdb": {}}, "agent-datastores:mongdb: unknown key; did you mean mongodb?"),
        (
            {"deployment": None},
            "agent-datastores:deployment: missing; accepted: a mapping with at least namespace",
        ),
        ({"deployment.namespace": "A B"}, 'deployment.namespace: got "A B"; accepted: lower-case letters'),
        ({"deployment.livekit": "external"}, "deployment.livekit_url: missing beside livekit: external"),
        ({"deployment.livekit_url": "wss://x"}, "no such key beside livekit: development"),
        (
            {"deployment.secrets": {"source": "external"}},
            "deployment.secrets.store: missing beside source: external",
        ),
        ({"deployment.image.digest": "sha256:abc"}, "accepted: sha256: and 64 hexadecimal digits"),
        ({"deployment.values": {"redis": {"budget": {}}}}, "that block is solved, not written"),
        ({"deployment.values": {"postgres": {}}}, "accepted: a mapping of agent-worker, mongodb, redis"),
        ({"fleet.cells": 0}, "fleet.cells: got 0; accepted: a whole number from 1 to 1000"),
    ],
)
def test_what_cannot_be_is_refused_in_the_preview(changes: dict[str, Any], message: str) -> None:
    assert message in refused(changed(changes))


def test_a_secret_that_is_not_set_is_named_with_the_command_that_sets_it() -> None:
    text = refused(KIND, secrets={key: value for key, value in SECRETS.items() if "redis-app" not in key})
    assert "`pulumi config set --secret agent-secrets:redis-app-password`" in text


LARGER = changed({"fleet.jobs": 16})


def test_a_shrink_first_rolls_the_fleet_under_servers_that_keep_their_size() -> None:
    runs = {"agents": running(LARGER, terminating=False)}
    deployed = deploy(KIND, runs=runs)
    charts = deployed.recorded.charts()
    old = solve(parse_config(LARGER, "test")).datastores["mongodb"].server
    assert charts["agents-mongodb"]["budget"]["datastores"]["mongodb"]["server"][
        "max_incoming_connections"
    ] == (
        old.max_incoming_connections  # type: ignore[union-attr]
    )
    assert charts["agents-agent-worker"]["budget"]["fleet"]["max_replicas"] == 2
    assert "Run `pulumi up` again when the last of them is gone" in deployed.outputs["next"][-1]


def test_the_second_up_is_refused_while_old_workers_terminate_and_shrinks_afterwards() -> None:
    text = refused(KIND, runs={"agents": running(LARGER, terminating=True, newest=KIND)})
    assert "2 old workers still terminate (agent-worker-1, agent-worker-2)" in text
    assert (
        "more connections than MongoDB and Redis will take: run `pulumi up` again when they are gone" in text
    )
    charts = deploy(KIND, runs={"agents": running(KIND, terminating=False)}).recorded.charts()
    new = solve(parse_config(KIND, "test")).datastores["mongodb"]
    assert charts["agents-mongodb"]["budget"]["datastores"]["mongodb"]["limit"] == new.limit


def test_an_up_that_stopped_half_way_may_be_repeated_while_old_workers_still_serve() -> None:
    deploy(KIND, runs={"agents": running(LARGER, terminating=False, newest=KIND)})


def test_growing_takes_one_up() -> None:
    deployed = deploy(LARGER, runs={"agents": running(KIND, terminating=False)})
    server = solve(parse_config(LARGER, "test")).datastores["mongodb"]
    assert (
        deployed.recorded.charts()["agents-mongodb"]["budget"]["datastores"]["mongodb"]["limit"]
        == server.limit
    )
    assert not [line for line in deployed.outputs["next"] if "again" in line]


def test_two_fleets_that_do_not_fit_together_are_refused_with_the_way_round() -> None:
    limited = {"mongodb.limit": 1700, "fleet.jobs": 250, "fleet.slots": 25}
    old, new = changed(limited), changed(limited | {"fleet.slots": 5, "mongodb.pool": 1})
    text = refused(new, runs={"agents": running(old, terminating=False)})
    assert "Old and new workers together do not fit: MongoDB by" in text
    assert "Go half-way first: fleet.jobs: 50 with fleet.slots: 5" in text


def test_workers_of_no_known_budget_stop_everything() -> None:
    runs = {"agents": Running((Worker("stranger", "", terminating=False),), ())}
    assert "1 workers run with numbers that are on no record (stranger)" in refused(KIND, runs=runs)


def test_what_was_deployed_is_on_record_before_it_is_deployed_without_a_secret() -> None:
    recorded = deploy(KIND, runs={"agents": running(LARGER, terminating=False)}).recorded
    record = json.loads(recorded.named("ConfigMap", "agents-agent-budgets")["data"]["configs.json"])
    assert [one["fleet"]["jobs"] for one in record] == [16, 8]
    assert "deployment" not in record[1]
