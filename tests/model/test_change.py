"""Replacing a stack by another: workers of both are there at once, and neither budget may be the peak then."""

from __future__ import annotations

import random

import pytest

from infra.budget import mix, solve
from infra.budget.deployed import deployed
from infra.config import StackConfig, apply_overrides, parse_config
from tests.model.configs import random_config
from tests.model.fleet import Fleet
from tests.model.schedules import PEAK_PACE, to_the_peak
from tests.model.worker import Call, Steps


def changed(running: StackConfig, chance: random.Random) -> StackConfig:
    """Another promise, other pools; consumers and servers as before."""
    slots = chance.randint(1, 5)
    return apply_overrides(
        running,
        {
            "fleet.slots": slots,
            "fleet.jobs": chance.randint(1, 6 * slots),
            "mongodb.pool": chance.randint(1, 5),
            "redis.pool": chance.randint(1, 5),
            "mongodb.worker_pool": chance.randint(0, 2),
        },
    )


def peaks_of_the_change(running: StackConfig, wanted: StackConfig, *, gap: float) -> dict[str, int]:
    """The deployed stack at its peak, a rollout held up; then the new quota, and `gap` seconds later the new template.

    Then rollouts until the quota holds again, and on to the new stack's own peak.
    """
    fleet = Fleet(running, solve(running), PEAK_PACE, random.Random(0))
    to_the_peak(fleet)
    after = Fleet(wanted, solve(wanted), PEAK_PACE, random.Random(0))
    cluster, call = fleet.cluster, Call(0.0, after.longest_job, ())
    cluster.quota = after.cluster.quota

    def script() -> Steps:
        yield fleet.env.timeout(gap)
        fleet.fill(call)
        cluster.surge, refused, latest = after.cluster.surge, cluster.refused, after.template()
        cluster.scale(after.solution.fleet.max_replicas)
        cluster.roll_out(latest)
        while cluster.refused == refused:
            ready = [pod for pod in cluster.pods if pod.ready]
            if len(ready) == cluster.replicas and all(pod.template is latest for pod in ready):
                latest = after.template()
                cluster.roll_out(latest)
            yield fleet.env.timeout(PEAK_PACE.latency)
            fleet.fill(call)
        yield fleet.env.timeout(10 * PEAK_PACE.latency)
        fleet.fill(call)
        yield fleet.env.timeout(PEAK_PACE.latency)
        for _ in range(5):
            fleet.use_everything()
            for store in fleet.stores.values():
                store.fail_over(restart=False)

    fleet.env.run(until=fleet.env.process(script()))
    to_the_peak(after)
    new = after.peaks()
    return {name: max(*peaks, *new[name]) for name, peaks in fleet.peaks().items() if name in new}


@pytest.mark.parametrize("seed", range(40))
def test_no_change_comes_above_what_was_solved(seed: int) -> None:
    chance = random.Random(seed)
    running = random_config(chance)
    wanted = changed(running, chance)
    solved = mix([deployed(solve(running))], deployed(solve(wanted))).datastores
    for gap in (0.0, 1.0):
        peaks = peaks_of_the_change(running, wanted, gap=gap)
        assert all(peak <= solved[name].total for name, peak in peaks.items()), (gap, peaks)


def test_a_larger_quota_first_lets_in_what_the_old_one_held_up() -> None:
    # An old rollout waits for the quota; the new one is in force a second before the new template.
    running = parse_config(
        {
            "fleet": {
                "jobs": 10,
                "slots": 5,
                "max_call_seconds": 600,
                "rolling": {"mode": "strict", "surge": 1, "failure_spare": 0},
            },
            "mongodb": {"pool": 3, "worker_pool": 0},
        },
        "test",
    )
    wanted = apply_overrides(running, {"fleet.jobs": 25, "mongodb.pool": 1})
    before, after = solve(running), solve(wanted)
    holds = [solution.datastores["mongodb"].connections_per_worker for solution in (before, after)]
    old_quota, new_quota = before.fleet.quota_pods, after.fleet.quota_pods
    reserve = running.mongodb.reserve
    two_kinds = old_quota * holds[0] + (new_quota - old_quota) * holds[1] + reserve
    peak = peaks_of_the_change(running, wanted, gap=1.0)["mongodb"]
    mixed = mix([deployed(before)], deployed(after)).datastores["mongodb"]
    assert two_kinds < peak <= mixed.total == new_quota * holds[0] + reserve


def test_smaller_pools_for_a_larger_fleet_fit_when_the_pools_go_first() -> None:
    running = parse_config(
        {
            "fleet": {"jobs": 100, "slots": 10, "max_call_seconds": 600},
            "mongodb": {"pool": 9, "limit": 2100, "worker_pool": 0},
        },
        "test",
    )
    smaller = apply_overrides(running, {"mongodb.pool": 4})
    wanted = apply_overrides(smaller, {"fleet.jobs": 200})

    def fits(one: StackConfig, other: StackConfig) -> bool:
        return mix([deployed(solve(one))], deployed(solve(other))).datastores["mongodb"].fits

    assert solve(running).datastores["mongodb"].fits
    assert solve(wanted).datastores["mongodb"].fits
    assert not fits(running, wanted)
    assert fits(running, smaller)
    assert fits(smaller, wanted)
