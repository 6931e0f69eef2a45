"""Routers, Sentinels, a Cluster: through solver, values, variables, program, charts and policy."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest
from hypothesis import given

from infra.budget import solve
from infra.budget.capacity import capacity
from infra.config import parse_config
from infra.datastores import kind_of, url_variables
from infra.handoff.environment import worker_environment
from infra.handoff.values import helm_values
from infra.stack.components.secrets import wanted
from tests.infra.stack import SECRETS, changed, deploy, rendered
from tests.infra.test_policy import refusals
from tests.unit.budget_cases import QUICK, Values, arranged_values

SOMEWHERE = {"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]}
ROUTERS = {
    "mongodb.nodes": 3,
    "mongodb.routers": {"machines": 6, "workers_per_machine": 1, "shards": 2},
}
# The only one of our engines that has Sentinels.
OPERATOR = {
    "redis.consumers": {
        "replicas": {"processes": 1, "connections": 3},
        "operator": {"processes": 1, "connections": 2},
    },
    "deployment.values.redis": {
        "engine": "operator",
        "operator": {"usersSecret": "redis-acl"},
        "persistence": {"mode": "rdb"},
    },
}
ARRANGEMENTS: dict[str, dict[str, Any]] = {
    "routers": ROUTERS,
    "routers of servers elsewhere": ROUTERS | {"mongodb.limit": 5000},
    "sentinels": {"redis.sentinels": 3} | OPERATOR,
    "sentinels elsewhere": {"redis.sentinels": 3, "redis.limit": 5000},
    "cluster": {"redis.limit": 5000, "redis.cluster": {"shards": 3}},
    "serverless": {
        "redis.plan": "elasticache-serverless",
        "redis.cluster": {"shards": 1, "replicas": 0},
    },
    "routers and sentinels in cells": ROUTERS | OPERATOR | {"redis.sentinels": 3, "fleet.cells": 2},
    "routers and a cluster": ROUTERS | {"redis.limit": 5000, "redis.cluster": {"shards": 3}},
}
URLS = {f"agent-secrets:{name}-url": "hidden" for name in ("mongodb", "redis")}


def stack_of(changes: dict[str, Any]) -> dict[str, Any]:
    places = dict.fromkeys(("mongodb", "redis"), SOMEWHERE)
    return changed({"deployment.values.agent-worker.networkPolicy.datastores": places} | changes)


@pytest.fixture(scope="module", params=list(ARRANGEMENTS.values()), ids=list(ARRANGEMENTS))
def changes(request: pytest.FixtureRequest) -> dict[str, Any]:
    given: dict[str, Any] = request.param
    return given


@pytest.fixture(scope="module")
def items(changes: dict[str, Any]) -> list[dict[str, Any]]:
    """Every object, rendered once for the tests that look at it."""
    return rendered(stack_of(changes), secrets=SECRETS | URLS)


def test_the_program_deploys_what_fits_and_the_policy_passes_it(
    changes: dict[str, Any], items: list[dict[str, Any]]
) -> None:
    stack = stack_of(changes)
    assert solve(parse_config(stack, "test")).fits
    assert refusals(stack, items) == []


def test_a_worker_is_given_the_addresses_that_it_reads_and_no_others(changes: dict[str, Any]) -> None:
    config = parse_config(stack_of(changes), "test")
    assert config.deployment is not None
    opened = {"MONGODB_URL", "REDIS_URL"}
    worker = wanted(config.deployment, solve(config))[config.deployment.secrets.worker]
    assert {key for key in worker if not key.startswith("LIVEKIT_")} == opened
    charts = deploy(stack_of(changes), secrets=SECRETS | URLS).recorded.charts()
    for name, values in charts.items():
        if name.endswith("-agent-worker"):
            assert {key for key in values["secrets"] if not key.startswith("LIVEKIT_")} == opened


def test_pools_are_of_what_a_job_opens(changes: dict[str, Any]) -> None:
    variables = worker_environment(solve(parse_config(stack_of(changes), "test")))
    opened = {name.removesuffix("_WORKER_POOL") for name in variables if name.endswith("_WORKER_POOL")}
    assert opened == {"MONGODB", "REDIS"}


def test_workers_may_reach_what_they_dial(changes: dict[str, Any], items: list[dict[str, Any]]) -> None:
    (policy, *_) = (
        item
        for item in items
        if item["kind"] == "NetworkPolicy" and item["metadata"]["name"] == "agent-worker"
    )
    ports = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
    assert {27017, 6379} <= ports
    assert (26379 in ports) == ("redis.sentinels" in changes)
    assert 27018 not in ports


@QUICK
@given(arranged_values())
def test_what_a_job_opens_has_a_pool_and_an_address_and_nothing_else_has(values: Values) -> None:
    config = parse_config(values, "random")
    solution = solve(config)
    assert {kind_of(name).name for name in solution.datastores} == set(solution.datastores)
    opened = {"mongodb", "redis", *config.datastores}
    variables = worker_environment(solution)
    for suffix in ("_POOL", "_WORKER_POOL", "_CONNECTIONS_PER_WORKER"):
        assert opened <= {name.removesuffix(suffix).lower() for name in variables if name.endswith(suffix)}
    counted = {name for name in variables if name.endswith("_CONNECTIONS_PER_WORKER")}
    assert len(counted) == len(opened)
    assert set(url_variables(solution.datastores)) == {f"{name.upper()}_URL" for name in opened}
    block = helm_values(solution, ())["agent-worker"]["budget"]["datastores"]
    for name, datastore in block.items():
        # What workers dial is what the budget lets them hold a connection to.
        assert (datastore["dialled_by"] == "workers") == (datastore["granted_per_worker"] > 0)
        assert datastore.get("part_of", name) in opened
        assert config.section_of(kind_of(name)).reserve == datastore["reserve"]


def test_the_index_job_is_paid_for_where_the_shards_count_it() -> None:
    stack = stack_of(ROUTERS | {"mongodb.consumers.indexes": None})
    with pytest.raises(pulumi.RunError, match=r"mongodb\.consumers\.indexes in the budget pays for 0"):
        rendered(stack, secrets=SECRETS | URLS)


def test_the_block_says_how_each_row_is_reached() -> None:
    config = parse_config(
        stack_of(ROUTERS | {"redis.sentinels": 3}) | {"datastores": {"weaviate": {}}}, "test"
    )
    block = helm_values(solve(config), capacity(config))["agent-worker"]["budget"]["datastores"]
    keys = ("ports", "url_variable", "dialled_by", "part_of")
    assert {name: {key: one[key] for key in keys if key in one} for name, one in block.items()} == {
        "mongodb": {"ports": [27017], "url_variable": "MONGODB_URL", "dialled_by": "workers"},
        "mongodb_shards": {"ports": [27018], "dialled_by": "routers", "part_of": "mongodb"},
        "redis": {"ports": [6379], "url_variable": "REDIS_URL", "dialled_by": "workers"},
        "redis_sentinel": {
            "ports": [26379],
            "url_variable": "REDIS_URL",
            "dialled_by": "workers",
            "part_of": "redis",
        },
        "weaviate": {"ports": [8080, 50051], "url_variable": "WEAVIATE_URL", "dialled_by": "workers"},
    }
