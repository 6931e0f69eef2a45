"""The solver against a fleet that counts connections one by one: never above, and no looser than need be."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
import simpy

from infra.budget import solve
from infra.budget.solution import Solution
from infra.config import StackConfig, parse_config
from infra.config.mongodb import Routers
from tests.model.configs import random_config
from tests.model.fleet import Fleet, Pace
from tests.model.kubernetes import Cluster
from tests.model.run import run
from tests.model.schedules import KEEPALIVE_SECONDS, PEAK_PACE, to_the_peak
from tests.model.worker import Call, Steps, Template

RUNS = 200
"""`python -m tests.model` runs 10 000."""


def stack(rolling: dict[str, object], **fleet: object) -> StackConfig:
    values = {"jobs": 12, "slots": 3, "max_call_seconds": 60, "rolling": rolling} | fleet
    mongodb = {"pool": 2, "nodes": 3, "consumers": {"api": {"processes": 2, "connections": 3}}}
    return parse_config({"fleet": values, "mongodb": mongodb, "redis": {"pubsub": 1}}, "test")


FAST = stack({"mode": "fast", "surge": 2, "rollouts_per_grace_period": 1})
STRICT = stack({"mode": "strict", "surge": 2, "failure_spare": 1})


def at_its_peak(config: StackConfig, solution: Solution | None = None) -> Fleet:
    fleet = Fleet(config, solution or solve(config), PEAK_PACE, random.Random(0))
    to_the_peak(fleet)
    return fleet


def totals(solution: Solution) -> dict[str, int]:
    return {name: datastore.total for name, datastore in solution.datastores.items()}


def highest(fleet: Fleet) -> dict[str, int]:
    return {name: max(peaks) for name, peaks in fleet.peaks().items()}


def test_no_schedule_is_above_the_solved_peak_and_the_worst_one_reaches_it() -> None:
    outcomes = [run(seed) for seed in range(RUNS)]
    assert [outcome for outcome in outcomes if not outcome.agrees] == []
    assert sum(outcome.refused > 0 for outcome in outcomes) > RUNS / 10  # the quota had work to do


# The model would notice


@pytest.mark.parametrize("config", [FAST, STRICT], ids=["fast", "strict"])
def test_one_pod_too_many_is_seen(config: StackConfig) -> None:
    solution = solve(config)
    loose = replace(solution, fleet=replace(solution.fleet, quota_pods=solution.fleet.quota_pods + 1))
    seen = highest(at_its_peak(config, loose))
    assert all(seen[name] > total for name, total in totals(solution).items())


@pytest.mark.parametrize(
    ("section", "changes"),
    [
        ("mongodb", {"monitoring": "stream"}),
        ("mongodb", {"worker_pool": 2}),
        ("mongodb", {"reserve": 21}),
        ("redis", {"blocking": 1}),
        ("redis", {"pool": 3}),
    ],
)
def test_a_connection_that_the_budget_forgot_is_seen(section: str, changes: dict[str, object]) -> None:
    deployed = FAST.model_copy(update={section: getattr(FAST, section).model_copy(update=changes)})
    seen = highest(at_its_peak(deployed, solve(FAST)))
    assert seen[section] > totals(solve(FAST))[section]


def test_a_mongos_that_opens_more_than_was_solved_is_seen() -> None:
    def routed(pool: int) -> StackConfig:
        machines = solve(FAST).fleet.workers_at_peak
        routers = Routers(machines=machines, workers_per_machine=1, pool=pool)
        return FAST.model_copy(update={"mongodb": FAST.mongodb.model_copy(update={"routers": routers})})

    solution = solve(routed(3))
    assert highest(at_its_peak(routed(3), solution)) == totals(solution)
    assert highest(at_its_peak(routed(4), solution))["mongodb_shards"] > totals(solution)["mongodb_shards"]


# Against what was measured on Kubernetes 1.34 (KIND.md)


def rolled_once(*, replicas: int, surge: int, quota: int, drain: float) -> tuple[Cluster, float]:
    """One rollout of a fleet whose pods take `drain` seconds to end; and the seconds until the last old one has."""
    env = simpy.Environment()
    old = Template(1, {}, {}, pre_stop=drain, drain_timeout=drain, grace=drain + 20)
    cluster = Cluster(
        env,
        {},
        surge=surge,
        quota=quota,
        machines=1,
        start_seconds=lambda: 2.0,
        latency=0.5,
        chance=random.Random(0),
    )
    cluster.roll_out(old)
    cluster.scale(replicas)
    env.run(until=60)
    cluster.roll_out(replace(old))
    while any(pod.template is old for pod in cluster.pods):
        env.step()
    return cluster, env.now - 60


def test_strict_never_more_pods_than_the_quota_and_one_drain_after_the_other() -> None:
    cluster, seconds = rolled_once(replicas=3, surge=1, quota=4, drain=40)
    assert cluster.most_pods == 4
    assert cluster.refused
    assert 3 * 40 <= seconds < 4 * 40


def test_fast_the_surge_belongs_to_the_new_ones() -> None:
    cluster, seconds = rolled_once(replicas=4, surge=2, quota=1000, drain=40)
    assert cluster.most_pods == 8
    assert seconds < 2 * 40


# How often a fleet may be rolled before the quota holds it up


def rolled_every(config: StackConfig, seconds: float) -> Fleet:
    """Four times as many rollouts as are paid for, `seconds` apart, each worker full of the longest calls."""
    solution, start = solve(config), config.fleet.worker_start_seconds
    fleet = Fleet(config, solution, Pace(latency=0.01, start=lambda: start), random.Random(0))
    call = Call(0.0, fleet.longest_job, ())

    def full() -> Steps:
        while True:
            fleet.fill(call)
            yield fleet.env.timeout(start / 10)

    def roll() -> Steps:
        fleet.cluster.roll_out(fleet.template())
        fleet.cluster.scale(solution.fleet.max_replicas)
        yield fleet.env.timeout(2 * start)
        for _ in range(4):
            fleet.cluster.roll_out(fleet.template())
            yield fleet.env.timeout(seconds)

    fleet.env.process(full())
    fleet.env.process(roll())
    fleet.env.run(until=8 * solution.time.rollout_seconds)
    return fleet


def fast_stacks() -> Iterator[StackConfig]:
    for seed in range(40):
        config = random_config(random.Random(seed))
        if config.fleet.rolling.mode == "fast" and config.fleet.rolling.rollouts_per_grace_period == 1:
            yield config


def test_fast_rollouts_a_rollout_apart_are_never_held_up() -> None:
    for config in fast_stacks():
        margin = 5  # the controllers' latency
        assert not rolled_every(config, solve(config).time.rollout_seconds + margin).cluster.refused, config


def test_fast_rollouts_a_grace_period_apart_may_be_held_up() -> None:
    # The last old pod is deleted only when all new ones are ready: until then the grace period has not begun for it.
    config = stack({"mode": "fast", "surge": 4}, worker_start_seconds=300)
    assert rolled_every(config, solve(config).time.termination_grace_period_seconds).cluster.refused


# A machine fails when the fleet is at its peak: the exception to invariant 3


def after_losing_a_machine(config: StackConfig, *, power: bool, forced: bool) -> tuple[Fleet, int, int]:
    """The fleet, the workers on the machine, and the most MongoDB connections of a node since the loss."""
    fleet = at_its_peak(config)
    env, nodes = fleet.env, fleet.stores["mongodb"].nodes
    lost = fleet.cluster.on(0)
    call = Call(0.0, fleet.longest_job * 10, ())
    for pod in lost:
        pod.lose(power=power, keepalive=KEEPALIVE_SECONDS)
    before = len(nodes[0].connections)
    for node in nodes:
        node.peak = 0

    def refill() -> Steps:
        yield env.timeout(60)
        if forced:
            for pod in lost:
                pod.force()
        while True:
            yield env.timeout(5)
            fleet.fill(call)
            fleet.use_everything()

    env.process(refill())
    env.run(until=env.now + KEEPALIVE_SECONDS)
    assert before == totals(fleet.solution)["mongodb"]
    return fleet, len(lost), max(node.peak for node in nodes)


def test_a_machine_without_power_stays_counted_until_the_servers_know_of_it() -> None:
    fleet, lost, peak = after_losing_a_machine(STRICT, power=True, forced=False)
    assert lost
    assert peak <= totals(fleet.solution)["mongodb"]


def test_a_machine_whose_object_is_deleted_may_be_counted_twice_until_keepalive() -> None:
    fleet, lost, peak = after_losing_a_machine(STRICT, power=True, forced=True)
    mongodb = fleet.solution.datastores["mongodb"]
    assert mongodb.total < peak <= mongodb.total + lost * mongodb.connections_per_worker
    fleet.env.run(until=fleet.env.now + 120)  # past keepalive
    assert all(len(node.connections) <= mongodb.total for node in fleet.stores["mongodb"].nodes)


def test_a_partitioned_machine_is_counted_twice_only_where_its_pods_are_removed_by_force() -> None:
    fleet, _, peak = after_losing_a_machine(STRICT, power=False, forced=False)
    assert peak <= totals(fleet.solution)["mongodb"]
    fleet, lost, peak = after_losing_a_machine(STRICT, power=False, forced=True)
    mongodb = fleet.solution.datastores["mongodb"]
    assert mongodb.total < peak <= mongodb.total + lost * mongodb.connections_per_worker
