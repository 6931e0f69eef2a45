"""What the Pulumi program deploys, and what it refuses in the preview already, under mocks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pulumi
import pytest

from infra.budget import solve
from infra.budget.capacity import capacity
from infra.config import parse_config
from infra.handoff.values import helm_values
from infra.stack.record import KEY, Record, entry
from infra.stack.running import Running, Worker
from tests.infra.stack import CHART, KIND, SECRETS, changed, deploy, rendered

HIDDEN = "hidden-"


def running(base: dict[str, Any], *, terminating: bool, newest: dict[str, Any] | None = None) -> Running:
    """A namespace with two workers of `base`; on record with whatever was deployed since."""
    record = recorded(base, *([newest] if newest else []))
    workers = tuple(Worker(f"agent-worker-{n}", record.entries[0].digest, terminating) for n in (1, 2))
    return Running(workers, record)


def recorded(*stacks: dict[str, Any]) -> Record:
    """What the program writes when it deploys these one after the other."""
    configs = [parse_config(one, "test") for one in stacks]
    return Record(tuple(entry(config, solve(config)) for config in configs))


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
    assert urls["MONGODB_URL"].endswith(":27017/agent?authSource=admin")


def test_the_address_of_our_own_mongodb_names_the_database_that_its_chart_was_told() -> None:
    hotel = changed({"deployment.values": {"mongodb": {"auth": {"database": "hotel"}}}})
    secret = deploy(hotel).recorded.named("Secret", "agents-agent-worker")["stringData"]
    assert secret["value"]["MONGODB_URL"].endswith(":27017/hotel?authSource=admin")


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


def test_a_watcher_is_off_unless_asked_for_and_nothing_is_said_of_it_then() -> None:
    """A stack that was deployed before there was one stays as it is."""
    for values in (KIND, changed({"deployment.watcher": {"replicas": 2}})):
        assert "watcher" not in deploy(values).recorded.charts()["agents-agent-worker"]


def test_a_watcher_is_the_charts_and_of_no_budget() -> None:
    values = changed({"deployment.watcher": {"enabled": True, "replicas": 2, "wait_seconds": 45}})
    recorded = deploy(values).recorded
    charts, without = recorded.charts(), deploy(KIND).recorded
    assert charts["agents-agent-worker"].pop("watcher") == {
        "enabled": True,
        "replicas": 2,
        "waitSeconds": 45,
    }
    assert charts == without.charts()
    record = "agents-agent-budgets"
    assert recorded.named("ConfigMap", record) == without.named("ConfigMap", record)


@pytest.mark.parametrize("stack", [KIND, MANAGED], ids=["development", "external"])
def test_a_watcher_knows_where_livekit_is_and_has_nothing_of_a_datastores(stack: dict[str, Any]) -> None:
    items = rendered(changed({"deployment.watcher.enabled": True}, with_places(stack)))
    (pod,) = (item["spec"]["template"]["spec"] for item in items if is_watcher(item))
    variables = {one["name"]: one for one in pod["containers"][0]["env"]}
    assert variables["LIVEKIT_URL"]["value"].startswith("ws")
    assert {name for name in variables if not name.startswith("AGENT_")} == {
        "LIVEKIT_URL",
        "LIVEKIT_API_KEY",
        "LIVEKIT_API_SECRET",
    }


def with_places(stack: dict[str, Any]) -> dict[str, Any]:
    """Where managed servers are: the chart's policy asks."""
    somewhere = {"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]}
    places = {"mongodb": somewhere, "redis": somewhere} if "plan" in stack["mongodb"] else {}
    return changed({"deployment.values.agent-worker.networkPolicy.datastores": places}, stack)


def is_watcher(item: dict[str, Any]) -> bool:
    labels: dict[str, str] = item["metadata"].get("labels", {})
    return item["kind"] == "Deployment" and labels.get("app.kubernetes.io/component") == "watcher"


OPERATOR = {
    "chart": "o",
    "repository": "https://charts.example/o",
    "version": "1.0.0",
    "namespace": "operators",
}


def test_an_operator_is_a_release_of_its_own_version_and_namespace() -> None:
    recorded = deploy(changed({"deployment.operators": {"psmdb": OPERATOR}})).recorded
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
        (
            {"deployment.operators": {"o": {"chart": "o", "version": "1.0.0", "namespace": "o"}}},
            "deployment.operators.o.repository: got null; accepted: https:// or oci:// and an address, or a chart",
        ),
        (
            {"deployment.operators": {"o": OPERATOR | {"chart": "./o"}}},
            "accepted: no such key beside a chart that is a folder",
        ),
        ({"fleet.cells": 0}, "fleet.cells: got 0; accepted: a whole number from 1 to 1000"),
        ({"deployment.watcher": True}, "deployment.watcher: got true; accepted: a mapping"),
        ({"deployment.watcher": {"enabled": 1}}, "watcher.enabled: got 1; accepted: true or false"),
        ({"deployment.watcher": {"replicas": 9}}, "accepted: a whole number from 1 to 5"),
        ({"deployment.watcher": {"wait": 9}}, "watcher.wait: unknown key; accepted: enabled, replicas"),
    ],
)
def test_what_cannot_be_is_refused_in_the_preview(changes: dict[str, Any], message: str) -> None:
    assert message in refused(changed(changes))


def test_a_secret_that_is_not_set_is_named_with_the_command_that_sets_it() -> None:
    text = refused(KIND, secrets={key: value for key, value in SECRETS.items() if "redis-app" not in key})
    assert "`pulumi config set --secret agent-secrets:redis-app-password`" in text


EXTERNAL = changed({"deployment.secrets": {"source": "external", "store": "vault"}}, MANAGED)


@pytest.mark.parametrize("labels", [{}, {"team": "voice"}])
@pytest.mark.parametrize(
    "stack", [KIND, MANAGED, EXTERNAL, changed({"deployment.operators": {"o": OPERATOR}, "fleet.cells": 2})]
)
def test_no_object_is_registered_with_an_empty_mapping(stack: dict[str, Any], labels: dict[str, str]) -> None:
    """The API server drops it, so that Pulumi would put it back with every `up`, for ever."""
    recorded = deploy(changed({"deployment.labels": labels}, stack)).recorded
    # A chart's inputs are helm's, its objects the charts'.
    ours = [one for one in recorded.resources if one.typ.startswith("kubernetes:") and one.typ != CHART]
    assert ours
    assert [one.name for one in ours if has_empty(one.inputs)] == []


def has_empty(value: Any) -> bool:
    if isinstance(value, Mapping):
        return not value or any(map(has_empty, value.values()))
    return isinstance(value, list) and any(map(has_empty, value))


def test_config_maps_and_secrets_are_changed_in_place_and_what_is_there_is_taken_over() -> None:
    """Otherwise the plugin replaces a ConfigMap by deleting it first, and refuses what `data: keep` has left."""
    provider = deploy(KIND).recorded.named("pulumi:providers:kubernetes", "cluster")
    switches = ("enableConfigMapMutable", "enableSecretMutable", "upsertExistingObjects")
    assert [provider.get(switch) for switch in switches] == ["true", "true", "true"]
    # Others' changes are named, not overrun.
    assert "enablePatchForce" not in provider


def test_what_outlives_a_stack_is_made_under_one_name_and_the_record_is_ours_alone() -> None:
    """The plugin would take its own earlier self for somebody else, and refuse what `data: keep` has left."""
    recorded = deploy(KIND).recorded
    made = {
        one.name: one.inputs["metadata"]["annotations"]
        for one in recorded.resources
        if one.typ.startswith("kubernetes:core/v1:")
    }
    assert {"agents", "agents-agent-budgets", "agents-agent-worker"} <= set(made)
    # The prefix is the plugin's own: by it a newer one finds what it has created rather than applied.
    assert {one["pulumi.com/patchFieldManager"] for one in made.values()} == {
        "pulumi-kubernetes-agent-datastores"
    }
    assert [name for name, one in made.items() if "pulumi.com/patchForce" in one] == ["agents-agent-budgets"]


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
    runs = {"agents": Running((Worker("stranger", "", terminating=False),))}
    assert "1 workers run with numbers that are on no record (stranger)" in refused(KIND, runs=runs)


def test_what_was_deployed_is_on_record_before_it_is_deployed_without_a_secret() -> None:
    recorded = deploy(KIND, runs={"agents": running(LARGER, terminating=False)}).recorded
    record = json.loads(recorded.named("ConfigMap", "agents-agent-budgets")["data"][KEY])
    assert [one["config"]["fleet"]["jobs"] for one in record["budgets"]] == [16, 8]
    assert "deployment" not in record["budgets"][1]["config"]
