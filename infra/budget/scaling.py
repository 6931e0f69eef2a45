"""Bounds of whoever sets the number of workers."""

from __future__ import annotations

from infra.budget.arithmetic import ceil
from infra.budget.solution import Fleet, Scaling, Time
from infra.config import FastRolling, FleetConfig

# autoscaling/v2: the longest periodSeconds of a policy, and the part (a tenth) by which a fleet may be too large or
# too small before the autoscaler acts. Kubernetes 1.35 lets one set the latter; before, it is the cluster's.
HPA_LONGEST_PERIOD_SECONDS = 1800
HPA_TOLERANCE = 10


def scaling_of(config: FleetConfig, fleet: Fleet, time: Time) -> Scaling:
    """What an autoscaler and evictions may do."""
    rolling = config.rolling
    # Taking workers away makes nothing worse by itself; it is their successors that find them still draining. So
    # within one grace period no more may go than the spare pays for beside rollouts.
    paid = fleet.spare if isinstance(rolling, FastRolling) else rolling.failure_spare
    period = min(time.termination_grace_period_seconds, HPA_LONGEST_PERIOD_SECONDS)
    return Scaling(
        min_replicas=min(config.scaling.min_replicas, fleet.max_replicas),
        buffer_jobs=config.scaling.buffer_jobs or max(fleet.slots, overlooked_jobs(fleet) + 1),
        scale_down_pods=paid // ceil(time.termination_grace_period_seconds, period),
        scale_down_period_seconds=period,
        max_unavailable=max(1, fleet.surge if isinstance(rolling, FastRolling) else rolling.failure_spare),
    )


def overlooked_jobs(fleet: Fleet) -> int:
    """Jobs by which the fleet may be too small before an autoscaler does anything."""
    return fleet.max_replicas * fleet.slots // HPA_TOLERANCE
