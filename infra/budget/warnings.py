"""What fits, and is worth a word all the same."""

from __future__ import annotations

from collections.abc import Iterable

from infra.budget.arithmetic import ceil
from infra.budget.rows import count
from infra.budget.scaling import overlooked_jobs, scaling_of
from infra.budget.solution import Fleet, Time, grouped
from infra.config import StackConfig
from infra.config.platforms import PLATFORMS


def warnings_of(config: StackConfig, time: Time, fleet: Fleet) -> Iterable[str]:
    """Each a sentence with the key that would help."""
    grace = time.termination_grace_period_seconds
    for cap in PLATFORMS.get(config.fleet.platform or "", ()):
        if grace > cap.seconds:
            longest_call = cap.seconds - (grace - time.max_call_seconds)
            remedy = (
                f"max_call_seconds up to {longest_call} would fit"
                if longest_call > 0
                else "no call is that short"
            )
            yield (
                f"{config.fleet.platform}, {cap.event}: waits {grouped(cap.seconds)} s for a pod, "
                f"the grace period is {grouped(grace)} s: {cap.consequence} ({remedy}). Source: {cap.source}"
            )
    scaling = scaling_of(config.fleet, fleet, time)
    if scaling.scale_down_pods == 0:
        needed = ceil(grace, scaling.scale_down_period_seconds)
        yield (
            f"nothing pays for scaling down: an autoscaler will only add workers (fleet.rolling.failure_spare {needed} "
            f"would pay for one each {grouped(scaling.scale_down_period_seconds)} s)"
        )
    if scaling.buffer_jobs <= (overlooked := overlooked_jobs(fleet)):
        yield (
            f"fleet.scaling.buffer_jobs {scaling.buffer_jobs}: before Kubernetes 1.35 an autoscaler overlooks "
            f"up to {grouped(overlooked)} jobs, a tenth of all, and no slot may be free then; {overlooked + 1} would do"
        )
    if fleet.surge > fleet.max_replicas:
        yield (
            f"fleet.rolling.surge {fleet.surge} is more than the fleet has "
            f"({count(fleet.max_replicas, 'worker')}): the rest is never used"
        )
    if routers := config.mongodb.routers:
        room = routers.machines * routers.workers_per_machine
        if room < fleet.workers_at_peak:
            yield (
                f"mongodb.routers: {grouped(routers.machines)} machines of {routers.workers_per_machine} take "
                f"{grouped(room)} workers, the peak is {grouped(fleet.workers_at_peak)}: the others would wait"
            )
    yield from (f"{plan.name}: {plan.note}" for plan in config.plans if plan.note)
