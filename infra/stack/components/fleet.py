"""The workers of a cell: the agent's chart with the budget's numbers, after whatever it connects to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from infra.stack.components.charts import Place, chart
from infra.stack.components.secrets import of_the_workers
from infra.stack.running import BUDGET_ANNOTATION


@dataclass(frozen=True)
class FleetArgs:
    """What a fleet needs beside its place."""

    livekit_url: str
    after: Sequence[pulumi.Resource]
    """Datastores, Secrets, LiveKit: created and updated before the fleet, so that a server grows first."""


class Fleet(pulumi.ComponentResource):
    """The workers, their quota, their scaler, the Job that makes indexes, and the watcher where one is wanted."""

    def __init__(self, name: str, place: Place, args: FleetArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("agent-datastores:infra:Fleet", name, None, opts)
        image, secret = place.deployment.image, place.deployment.secrets.worker
        values: dict[str, Any] = {
            "image": {"repository": image.repository, "tag": image.tag, "digest": image.digest or ""},
            "env": {"LIVEKIT_URL": args.livekit_url},
            "secrets": {variable: {"existingSecret": secret} for variable in of_the_workers(place.solution)},
            # By it the next `pulumi up` tells old workers from new ones, terminating ones included.
            "podAnnotations": {BUDGET_ANNOTATION: place.solution.digest},
        }
        watcher = place.deployment.watcher
        if watcher.enabled:  # nothing where it is off: what is deployed stays as it is
            values["watcher"] = {
                "enabled": True,
                "replicas": watcher.replicas,
                "waitSeconds": watcher.wait_seconds,
            }
        chart("agent-worker", place, values, parent=self, depends_on=args.after)
        fleet = place.solution.fleet
        self.register_outputs({"slots": fleet.slots, "workers_at_peak": fleet.workers_at_peak})
