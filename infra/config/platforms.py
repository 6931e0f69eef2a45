"""Platforms that end a pod sooner than its grace period says, or give up on waiting for it.

Nothing here changes a number of the budget: a cap that is shorter than the grace period becomes a warning.
"""

from __future__ import annotations

from dataclasses import dataclass

from infra.datastores.plan import CHECKED


@dataclass(frozen=True)
class GraceCap:
    """One event in which the platform does not wait longer than `seconds` for a terminating pod."""

    event: str
    seconds: int
    consequence: str
    source: str
    checked: str = CHECKED


_CUT = "calls still running then are cut off"

_GKE_SOURCE = (
    "W. Denniss, Minimizing Pod Disruption on Autopilot: https://wdenniss.com/minimizing-pod-disruption"
)

_CLUSTER_AUTOSCALER = GraceCap(
    "scale-down by cluster-autoscaler",
    600,
    f"{_CUT}; raise its --max-graceful-termination-sec",
    "kubernetes/autoscaler, cluster-autoscaler flag --max-graceful-termination-sec, default 600",
)

PLATFORMS: dict[str, tuple[GraceCap, ...]] = {
    "cluster-autoscaler": (_CLUSTER_AUTOSCALER,),
    "gke": (
        GraceCap(
            "scale-down",
            600,
            f"{_CUT}; keep workers off autoscaled-down nodes or shorten calls",
            _GKE_SOURCE,
        ),
        GraceCap(
            "node upgrade",
            3600,
            _CUT,
            _GKE_SOURCE,
        ),
    ),
    "aks": (
        _CLUSTER_AUTOSCALER,
        GraceCap(
            "node upgrade",
            1800,
            "the upgrade fails; raise the node pool's drain timeout",
            "Azure Kubernetes Service, AgentPoolUpgradeSettings.drainTimeoutInMinutes, default 30",
        ),
    ),
    "eks": (
        _CLUSTER_AUTOSCALER,
        GraceCap(
            "update of a managed node group",
            900,
            f"the update fails with PodEvictionFailure, and with force {_CUT}; roll the nodes yourself",
            "AWS re:Post, Update EKS node groups timeout: 15 minutes",
        ),
    ),
}
"""Accepted values of `fleet.platform`, with what each caps."""
