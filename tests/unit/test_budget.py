"""The budget's formula: the worked example, the sum by its definition, and what must never shrink."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra import budget
from infra.budget import solve
from infra.budget.solution import Datastore, MongoDBServer, RedisServer, Solution
from infra.config import MongoDBConfig, OtherConfig, RedisConfig, StackConfig, StrictRolling, parse_config
from infra.config.plans import PLANS, families, plans_of
from infra.handoff.environment import worker_environment
from tests.unit.budget_cases import QUICK, Values, all_values, configured


def row(datastore: Datastore, name: str) -> int:
    return next(row.connections for row in datastore.rows if row.name == name)


# The worked example


def test_jobs_of_ten_pods_in_one_fast_rollout_are_1500_connections() -> None:
    solution = solve(configured())
    jobs = solution.datastores["mongodb"].rows[0]
    assert (solution.fleet.max_replicas, solution.fleet.workers_at_peak, solution.fleet.quota_pods) == (
        10,
        20,
        20,
    )
    assert jobs.workers == 20
    assert f"{jobs.formula} = {jobs.connections}" == "20 workers × 25 slots × 3 = 1500"


def test_the_smallest_atlas_plan_takes_the_sum_with_the_reserve() -> None:
    # 1 500 of the jobs fill an M10 exactly; the workers' own clients, Atlas's 10 and the reserve need an M20.
    mongodb = solve(configured()).datastores["mongodb"]
    assert mongodb.total == 1500 + 20 * 2 + 10 + 20
    assert mongodb.smallest_plans[0].plan == "atlas-m20"
    assert mongodb.fits
    assert not solve(configured({"mongodb.plan": "atlas-m10"})).fits


def test_pymongos_defaults_do_not_fit() -> None:
    mongodb = solve(configured({"mongodb.pool": 100, "mongodb.monitoring": "stream"})).datastores["mongodb"]
    assert row(mongodb, "jobs") == 20 * 25 * 102
    assert not mongodb.fits
    assert mongodb.head_room < 0
    assert mongodb.smallest_plans[0].plan == "atlas-m80"


# The sum, from its definition


def total_by_hand(config: StackConfig, name: str) -> int:
    fleet, redis, mongodb = config.fleet, config.redis, config.mongodb
    replicas = math.ceil(fleet.jobs / fleet.slots)
    rolling = fleet.rolling
    if isinstance(rolling, StrictRolling):
        workers = replicas + rolling.surge + rolling.failure_spare
    else:
        workers = replicas + rolling.rollouts_per_grace_period * replicas
    if name == "redis_sentinel":
        per_worker = 1 if redis.worker_pool else 0
        return workers * (fleet.slots + per_worker) + redis.sentinels - 1 + redis.reserve
    store = getattr(config, name, None) or config.datastores[name]
    total = store.reserve + sum(one.processes * one.connections for one in store.consumers.values())
    if name == "redis":
        total += workers * (fleet.slots * (redis.pool + redis.pubsub + redis.blocking) + redis.worker_pool)
        if redis.cluster and not redis.plan:
            total += 2 * (redis.cluster.nodes - 1)
            total += 2 * (redis.cluster.replicas + 1) if redis.cluster.replicas else 0
        return total + 2 * redis.sentinels
    if isinstance(store, OtherConfig):
        beside = {"weaviate": 1}.get(name, 0) if store.beside_pool is None else store.beside_pool
        worker = store.worker_pool + beside if store.worker_pool else 0
        total += PLANS[store.plan].family.reserved if store.plan else 0
        return total + workers * (fleet.slots * (store.pool + beside) + worker)
    monitors = {"poll": 1, "stream": 2}[mongodb.monitoring]
    per_worker = mongodb.worker_pool + monitors if mongodb.worker_pool else 0
    total += workers * (fleet.slots * (mongodb.pool + monitors) + per_worker)
    if mongodb.plan:
        return total + (10 if mongodb.plan.startswith("atlas") else 0)
    return total + (10 * (mongodb.nodes - 1) if mongodb.limit is None else 0)


def limit_by_hand(config: StackConfig, name: str) -> float:
    if name == "redis_sentinel":
        return config.redis.sentinel_limit or 10_000
    own: dict[str, MongoDBConfig | RedisConfig] = {"mongodb": config.mongodb, "redis": config.redis}
    store = own.get(name) or config.datastores[name]
    return PLANS[store.plan].limit if store.plan else store.limit or math.inf


@QUICK
@given(all_values())
def test_it_fits_if_and_only_if_every_sum_is_within_its_limit(values: Values) -> None:
    config = parse_config(values, "test")
    solution = solve(config)
    sums = {name: total_by_hand(config, name) for name in solution.datastores}
    assert {name: store.total for name, store in solution.datastores.items()} == sums
    assert solution.fits == all(total <= limit_by_hand(config, name) for name, total in sums.items())
    assert ("redis_sentinel" in sums) == (config.redis.sentinels > 0)


@QUICK
@given(all_values())
def test_every_number_follows_from_the_others(values: Values) -> None:
    solution = solve(parse_config(values, "test"))
    for store in solution.datastores.values():
        assert [row.start for row in store.rows] == [
            sum(above.connections for above in store.rows[:index]) for index in range(len(store.rows))
        ]
        assert store.total == sum(row.connections for row in store.rows)
        assert store.head_room == store.limit - store.total
        assert store.connections_per_worker == solution.fleet.slots * store.per_job + store.per_worker
        # However many nodes there are: what all count of themselves adds up to what the nodes are sized for.
        assert store.granted_per_worker == store.nodes_per_client * store.connections_per_worker
        assert store.alerts.fleet + store.alerts.others == store.nodes * store.alerts.warning_above
        if store.fits:
            assert (
                store.total - store.reserve
                == store.alerts.warning_above
                <= store.alerts.critical_above
                < store.limit
            )
        if store.limit_source == "derived":
            assert store.limit == store.total
            assert (store.server is not None) == (store.name in ("mongodb", "redis"))
    chosen = [option for option in solution.rolling_options if option.chosen]
    assert [option.mode for option in solution.rolling_options] == ["fast", "strict"]
    assert chosen[0].connections == {name: store.total for name, store in solution.datastores.items()}
    assert chosen[0].fits == solution.fits
    assert chosen[0].rollout_seconds == solution.time.rollout_seconds


# What must never shrink

GROWING = (
    "fleet.jobs",
    "mongodb.pool",
    "mongodb.worker_pool",
    "mongodb.reserve",
    "mongodb.nodes",
    "redis.pool",
    "redis.pubsub",
    "redis.blocking",
    "redis.worker_pool",
    "redis.reserve",
    "fleet.rolling.surge",
    "fleet.rolling.rollouts_per_grace_period",
    "fleet.rolling.failure_spare",
    "mongodb.consumers.api.processes",
    "redis.consumers.api.connections",
)


def grown(values: Values, key: str, by: int) -> Values | None:
    """The values with one number larger; None if these values have no such number."""
    *parents, last = key.split(".")
    inside: Any = values
    for parent in parents:
        inside = inside.get(parent, {})
    if last not in inside:
        return None
    copy: Values = {section: dict(keys) for section, keys in values.items()}
    inside = copy
    for parent in parents:
        inside[parent] = dict(inside[parent])
        inside = inside[parent]
    inside[last] += by
    return copy


def totals(solution: Solution) -> dict[str, int]:
    return {name: store.total for name, store in solution.datastores.items()}


@QUICK
@given(all_values(), st.integers(1, 40))
def test_no_total_shrinks_when_a_number_grows(values: Values, by: int) -> None:
    before = totals(solve(parse_config(values, "test")))
    for key in GROWING:
        larger = grown(values, key, by)
        if larger is not None:
            after = totals(solve(parse_config(larger, "test")))
            assert all(after[name] >= before[name] for name in before), key


@QUICK
@given(all_values(), st.integers(1, 40))
def test_no_total_shrinks_when_slots_grow_on_as_many_workers(values: Values, more: int) -> None:
    # For a fixed number of calls it may: see the next test.
    values["fleet"]["jobs"] = values["fleet"]["jobs"] % 100 * values["fleet"]["slots"] + 1
    before = solve(parse_config(values, "test"))
    slots = values["fleet"]["slots"] + more
    larger = {
        **values,
        "fleet": {**values["fleet"], "slots": slots, "jobs": before.fleet.max_replicas * slots},
    }
    after = solve(parse_config(larger, "test"))
    assert after.fleet.workers_at_peak == before.fleet.workers_at_peak
    assert all(totals(after)[name] >= total for name, total in totals(before).items())


def test_more_slots_for_the_same_calls_may_cost_fewer_connections() -> None:
    # 10 calls need two workers of 9 slots, but one worker of 10: ceil() makes `slots` alone non-monotonic.
    nine, ten = (solve(configured({"fleet.jobs": 10, "fleet.slots": slots})) for slots in (9, 10))
    assert nine.datastores["mongodb"].total > ten.datastores["mongodb"].total


def test_streaming_costs_one_connection_more_for_each_client() -> None:
    poll, stream = (
        solve(configured({"mongodb.monitoring": mode})).datastores["mongodb"] for mode in ("poll", "stream")
    )
    assert stream.total - poll.total == 20 * (25 + 1)


# Rows that are there only sometimes


def test_a_worker_without_a_client_holds_nothing() -> None:
    mongodb = solve(configured({"mongodb.worker_pool": 0})).datastores["mongodb"]
    assert mongodb.per_worker == 0
    assert "workers" not in [row.name for row in mongodb.rows]


def test_replica_set_peers_count_on_our_own_servers_only() -> None:
    own = configured({"mongodb.plan": None, "mongodb.nodes": 3})
    assert row(solve(own).datastores["mongodb"], "peers") == 20
    managed = solve(configured({"mongodb.nodes": 3})).datastores["mongodb"]
    assert "peers" not in [row.name for row in managed.rows]
    assert managed.nodes == 3


def test_pubsub_and_blocking_commands_come_from_the_one_pool_of_the_job() -> None:
    redis = solve(configured({"redis.pool": 2, "redis.pubsub": 1, "redis.blocking": 2})).datastores["redis"]
    assert redis.pool == redis.per_job == 5
    assert redis.per_job_reason == "pool 2 + pub/sub 1 + blocking 2"


def test_sentinels_are_nodes_of_their_own() -> None:
    config = configured({"redis.plan": None, "redis.sentinels": 3})
    sentinel = solve(config).datastores["redis_sentinel"]
    assert (sentinel.nodes, sentinel.limit, sentinel.per_job, sentinel.per_worker) == (3, 10_000, 1, 1)
    assert row(solve(config).datastores["redis"], "sentinels") == 6
    assert not solve(configured({"redis.plan": None, "redis.sentinels": 3, "redis.sentinel_limit": 100})).fits
    assert worker_environment(solve(config))["REDIS_SENTINELS"] == "3"


def test_each_node_of_a_cluster_takes_every_job() -> None:
    """Of six: 5 others × 2 on the bus, and its replica and one that was given to it × 2."""
    cluster = {"redis.plan": None, "redis.limit": 65_000, "redis.cluster": {"shards": 3, "replicas": 1}}
    one = solve(configured({"redis.plan": None, "redis.limit": 65_000})).datastores["redis"]
    many = solve(configured(cluster)).datastores["redis"]
    assert (many.nodes, many.nodes_per_client, many.per_job) == (6, 6, one.per_job)
    assert many.granted_per_worker == 6 * one.connections_per_worker
    assert (row(many, "bus"), row(many, "replicas"), many.total - one.total) == (10, 4, 14)
    alone = {"redis.plan": None, "redis.limit": 65_000, "redis.cluster": {"shards": 1, "replicas": 0}}
    assert solve(configured(alone)).datastores["redis"].total == one.total
    assert worker_environment(solve(configured(cluster)))["REDIS_NODES"] == "6"
    planned = solve(configured({"redis.plan": "elasticache-node", "redis.cluster": {"shards": 3}}))
    assert "bus" not in {row.name for row in planned.datastores["redis"].rows}


# Rolling and times


def test_strict_rolling_pays_for_surge_and_failure_spare_only() -> None:
    rolling = {"mode": "strict", "surge": 3, "failure_spare": 2}
    fleet = solve(configured({"fleet.rolling": rolling})).fleet
    assert (fleet.max_replicas, fleet.spare, fleet.quota_pods) == (10, 5, 15)


def test_two_rollouts_within_a_grace_period_leave_two_fleets_draining() -> None:
    assert solve(configured({"fleet.rolling.rollouts_per_grace_period": 2})).fleet.workers_at_peak == 30


@QUICK
@given(all_values())
def test_a_call_within_its_time_is_never_cut_off(values: Values) -> None:
    config = parse_config(values, "test")
    time = solve(config).time
    end = 15 + 60 + config.fleet.session_end_timeout_seconds + 10
    assert time.drain_timeout_seconds >= (
        config.fleet.open_timeout_seconds + time.max_call_seconds + time.goodbye_seconds + end
    )
    assert time.termination_grace_period_seconds >= time.pre_stop_seconds + time.drain_timeout_seconds + end
    assert time.progress_deadline_seconds < time.pulumi_timeout_seconds
    assert time.termination_grace_period_seconds < time.pulumi_timeout_seconds


def test_strict_rolling_is_given_the_time_of_its_drains() -> None:
    rolling = {"mode": "strict", "surge": 3, "failure_spare": 1}
    strict, fast = solve(configured({"fleet.rolling": rolling})).time, solve(configured()).time
    grace = strict.termination_grace_period_seconds
    assert strict.rollout_seconds >= 4 * grace
    assert strict.progress_deadline_seconds > strict.rollout_seconds
    assert fast.rollout_seconds < 2 * grace
    assert fast.progress_deadline_seconds >= 4 * fast.worker_start_seconds


def test_a_platform_that_cuts_the_grace_period_is_named_with_the_call_that_would_fit() -> None:
    warnings = [text for text in solve(configured({"fleet.platform": "gke"})).warnings if "gke" in text]
    assert len(warnings) == 2
    assert "600 s" in warnings[0]
    assert "max_call_seconds up to 197 would fit" in warnings[0]
    short = configured({"fleet.platform": "gke", "fleet.max_call_seconds": 197})
    assert not [text for text in solve(short).warnings if "gke" in text]


def test_surge_beyond_the_fleet_is_pointed_out() -> None:
    assert any("surge 3" in text for text in solve(configured({"fleet.jobs": 25})).warnings)


# Servers, digest, environment


def test_a_datastore_of_ones_own_is_config_alone() -> None:
    solution = solve(configured({"datastores.postgresql": {"limit": 1600, "pool": 3, "reserve": 7}}))
    store = solution.datastores["postgresql"]
    assert (store.per_job, store.per_worker, store.total) == (3, 1, 20 * (25 * 3 + 1) + 7)
    assert (store.limit, store.fits, store.nodes) == (1600, True, 1)
    variables = {name: v for name, v in worker_environment(solution).items() if name.startswith("POSTGRESQL")}
    assert variables == {
        "POSTGRESQL_POOL": "3",
        "POSTGRESQL_WORKER_POOL": "1",
        "POSTGRESQL_CONNECTIONS_PER_WORKER": "76",
    }


def test_weaviates_grpc_channel_counts_beside_its_http_pool() -> None:
    weaviate = solve(configured({"datastores.weaviate": {"nodes": 3}})).datastores["weaviate"]
    assert (weaviate.per_job, weaviate.per_job_reason) == (3, "pool 2 + 1 gRPC channel")
    assert weaviate.per_worker == 2
    assert (
        solve(configured({"datastores.weaviate": {"worker_pool": 0}})).datastores["weaviate"].per_worker == 0
    )


def test_our_own_servers_are_sized_for_the_sum() -> None:
    solution = solve(configured({"mongodb.plan": None, "redis.plan": None}))
    mongodb, redis = solution.datastores["mongodb"], solution.datastores["redis"]
    assert isinstance(mongodb.server, MongoDBServer)
    assert isinstance(redis.server, RedisServer)
    assert mongodb.server.max_incoming_connections == mongodb.total == 1560
    assert mongodb.server.memory_mib >= mongodb.server.cache_mib + mongodb.total
    # mongod lowers a limit above 0.8 of its descriptors.
    assert mongodb.server.file_descriptors * 0.8 >= mongodb.total
    assert redis.server.maxclients == redis.total
    assert redis.server.file_descriptors == redis.total + 32
    assert solve(configured()).datastores["mongodb"].server is None


def test_the_digest_does_not_depend_on_order_or_on_writing_out_defaults() -> None:
    consumers = {"api": {"processes": 4, "connections": 5}, "exporter": {"connections": 1, "processes": 1}}
    turned = dict(reversed(consumers.items()))
    one, other = (configured({"mongodb.consumers": value}) for value in (consumers, turned))
    assert budget.digest(one) == budget.digest(other)
    assert solve(one) == solve(other)
    assert budget.digest(configured()) == budget.digest(configured({"redis.pool": 2}))


@pytest.mark.parametrize(
    ("key", "value"),
    [("fleet.jobs", 251), ("fleet.goodbye_seconds", 31), ("mongodb.plan", "atlas-m30"), ("redis.pubsub", 1)],
)
def test_the_digest_changes_with_every_input(key: str, value: object) -> None:
    assert budget.digest(configured()) != budget.digest(configured({key: value}))


def test_the_environment_has_exactly_the_numbers_a_worker_obeys() -> None:
    solution = solve(configured({"redis.pubsub": 1}))
    assert worker_environment(solution) == {
        "AGENT_SLOTS": "25",
        "AGENT_IDLE_PROCESSES": "4",
        "AGENT_MAX_CALL_SECONDS": "3600",
        "AGENT_GOODBYE_SECONDS": "30",
        "AGENT_REJOIN_SECONDS": "20",
        "AGENT_DRAIN_TIMEOUT_SECONDS": "3813",
        "AGENT_SESSION_END_TIMEOUT_SECONDS": "60",
        "AGENT_OPEN_TIMEOUT_SECONDS": "10",
        "AGENT_CLOSE_TIMEOUT_SECONDS": "8",
        "AGENT_SHUTDOWN_CALLBACKS_SECONDS": "10",
        "AGENT_SHUTDOWN_PROCESS_TIMEOUT_SECONDS": "20",
        "AGENT_JOB_END_SECONDS": "155",
        "MONGODB_POOL": "2",
        "MONGODB_MONITORING": "poll",
        "MONGODB_WORKER_POOL": "1",
        "MONGODB_CONNECTIONS_PER_WORKER": "77",
        "REDIS_POOL": "3",
        "REDIS_WORKER_POOL": "1",
        "REDIS_CONNECTIONS_PER_WORKER": "76",
        "AGENT_BUDGET_DIGEST": solution.digest,
    }


def test_the_promise_of_workers_and_of_cells() -> None:
    assert budget.jobs_for(workers=3, slots=8) == 24
    assert budget.jobs_per_cell(jobs=250, cells=4) == 63


# Plans


def test_every_plan_grows_within_its_family_and_says_where_it_was_read() -> None:
    for kind in ("mongodb", "redis"):
        for family in families(kind):
            limits = [plan.limit for plan in plans_of(family)]
            assert limits == sorted(limits)
            assert "https://" in family.source
            assert family.checked
    assert PLANS["atlas-m30"].limit == 3000
    assert PLANS["documentdb-serverless-0.5"].limit == 250
    assert PLANS["elasticache-node"].limit == 65_000
