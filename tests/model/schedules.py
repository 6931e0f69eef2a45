"""What happens to a fleet: at random, or by somebody who wants to see its peak."""

from __future__ import annotations

from tests.model.fleet import JOB_STARTS_WITHIN, Fleet, Pace
from tests.model.worker import Call, Steps

# As fast as may be: the shortest job must outlast the rollouts that lead to the peak.
PEAK_PACE = Pace(latency=0.002, start=lambda: 0.001)
# Linux servers that keep idle peers for 300 s (mongod's cap, Redis's default) and probe 3 to 9 times.
KEEPALIVE_SECONDS = 400.0


def at_random(fleet: Fleet, events: int) -> None:
    """Runs a schedule of so many random events over some grace periods, and all that follows from them."""
    chance, grace = fleet.chance, fleet.solution.time.termination_grace_period_seconds
    longest = fleet.longest_job

    def call() -> Call:
        lasts = chance.choice((longest, chance.uniform(0, longest), chance.expovariate(20 / longest)))
        lasts = min(lasts, longest)
        moments = sorted(chance.uniform(0, lasts) for _ in range(chance.randrange(3)))
        return Call(
            chance.uniform(0, JOB_STARTS_WITHIN),
            lasts,
            tuple((at, chance.randint(1, fleet.widest)) for at in moments),
        )

    def happen() -> None:
        cluster = fleet.cluster
        machine = chance.randrange(cluster.machines)
        match chance.randrange(12):
            case 0 | 1 | 2 | 3:
                fleet.place(chance.randint(1, 2 * fleet.capacity), call)
            case 4 | 5:
                cluster.roll_out(fleet.template())
            case 6:
                cluster.scale(chance.randint(1, fleet.solution.fleet.max_replicas))
            case 7:  # a drain of the machine
                for pod in cluster.on(machine):
                    cluster.evict(pod)
            case 8:
                for pod in cluster.on(machine)[:1]:
                    pod.crash()
            case 9:
                for store in fleet.stores.values():
                    store.fail_over(restart=chance.random() < 0.5)
            case 10:
                fleet.use_everything()
            case 11 if chance.random() < 0.3:
                cluster.lose_power(machine, KEEPALIVE_SECONDS)

    def script() -> Steps:
        for at in sorted(chance.uniform(0, 2.5 * grace) for _ in range(events)):
            # Some events come in the same moment as others: overlapping is where a peak is.
            yield fleet.env.timeout(max(at - fleet.env.now, 0) * (chance.random() < 0.8))
            happen()

    fleet.cluster.roll_out(fleet.template())
    fleet.cluster.scale(fleet.solution.fleet.max_replicas)
    fleet.env.process(script())
    fleet.env.run(until=6 * grace)


def to_the_peak(fleet: Fleet) -> None:
    """Rolls as soon as a rollout is complete, every worker full of calls that last as long as they may, until the quota
    holds; then everybody uses every pool, on each node in turn."""
    cluster = fleet.cluster
    call = Call(0.0, fleet.longest_job, ())

    def script() -> Steps:
        latest = fleet.template()
        cluster.roll_out(latest)
        cluster.scale(fleet.solution.fleet.max_replicas)
        while not cluster.refused:
            ready = [pod for pod in cluster.pods if pod.ready]
            if len(ready) == cluster.replicas and all(pod.template is latest for pod in ready):
                latest = fleet.template()
                cluster.roll_out(latest)
            yield fleet.env.timeout(PEAK_PACE.latency)
            fleet.fill(call)
        yield fleet.env.timeout(10 * PEAK_PACE.latency)  # the last pod starts, its jobs connect
        fleet.fill(call)
        yield fleet.env.timeout(PEAK_PACE.latency)
        for _ in range(max(len(store.nodes) for store in fleet.stores.values())):
            fleet.use_everything()
            for store in fleet.stores.values():
                store.fail_over(restart=False)

    fleet.env.run(until=fleet.env.process(script()))
