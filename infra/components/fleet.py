"""The workers of a cell: the agent's chart with the budget's numbers, after whatever it connects to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from infra.components.charts import Place, chart
from infra.running import BUDGET_ANNOTATION


@dataclass(frozen=True)
class FleetArgs:
    """What a fleet needs beside its place."""

    livekit_url: str
    after: Sequence[pulumi.Resource]
    """Datastores, Secrets, LiveKit: created and updated before the fleet, so that a server grows first."""


class Fleet(pulumi.ComponentResource):
    """The workers, their quota, their scaler and the Job that makes indexes."""

    def __init__(self, name: str, place: Place, args: FleetArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("agent-datastores:infra:Fleet", name, None, opts)
        image, secret = place.deployment.image, place.deployment.secrets.worker
        in_secret = [
            *(f"{name.upper()}_URL" for name in place.solution.datastores if name != "redis_sentinel"),
            "LIVEKIT_API_KEY",
            "LIVEKIT_API_SECRET",
        ]
        values: dict[str, Any] = {
            "image": {"repository": image.repository, "tag": image.tag, "digest": image.digest or ""},
            "env": {"LIVEKIT_URL": args.livekit_url},
            "secrets": {variable: {"existingSecret": secret} for variable in in_secret},
            # By it the next `pulumi up` tells old workers from new ones, terminating ones included.
            "podAnnotations": {BUDGET_ANNOTATION: place.solution.digest},
        }
        chart("agent-worker", place, values, parent=self, depends_on=args.after)
        fleet = place.solution.fleet
        self.register_outputs({"slots": fleet.slots, "workers_at_peak": fleet.workers_at_peak})
