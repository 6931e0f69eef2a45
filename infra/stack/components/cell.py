"""A cell: a namespace with its Secrets, datastores, LiveKit where it is ours, and fleet, in the order of their need."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from infra.stack.components.charts import Place
from infra.stack.components.datastores import Datastores
from infra.stack.components.fleet import Fleet, FleetArgs
from infra.stack.components.livekit import LiveKit
from infra.stack.components.monitoring import Monitoring
from infra.stack.components.objects import MANAGER, OURS_ALONE, metadata
from infra.stack.components.secrets import Secrets
from infra.stack.record import KEY, RECORD
from infra.stack.rollover import Rollover


@dataclass(frozen=True)
class CellArgs:
    """What is deployed there, and what is written down before it."""

    place: Place
    rollover: Rollover


class CellStack(pulumi.ComponentResource):
    """Everything of one cell."""

    endpoints: dict[str, str]

    def __init__(self, name: str, args: CellArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("agent-datastores:infra:Cell", name, None, opts)
        place, deployment = args.place, args.place.deployment
        inside = pulumi.ResourceOptions(parent=self)
        namespace = kubernetes.core.v1.Namespace(
            place.namespace,
            metadata={
                "name": place.namespace,
                "annotations": MANAGER,
                "labels": deployment.labels | {"pod-security.kubernetes.io/enforce": "restricted"},
            },
            opts=pulumi.ResourceOptions(
                parent=self,
                provider=place.provider,
                # With the namespace its volumes would go: destroy leaves both unless it was told so before.
                retain_on_delete=deployment.data == "keep",
                # Whatever is in it when it goes may take its time to end; the plugin's own wait is ten minutes.
                custom_timeouts=pulumi.CustomTimeouts(
                    delete=f"{place.solution.time.pulumi_timeout_seconds}s"
                ),
            ),
        )
        # Written before anything else changes: an `up` that fails half-way has left its numbers here.
        record = kubernetes.core.v1.ConfigMap(
            f"{place.namespace}-{RECORD}",
            metadata=metadata(place, RECORD, MANAGER | OURS_ALONE),
            data={KEY: args.rollover.record.text()},
            opts=pulumi.ResourceOptions(parent=namespace, provider=place.provider),
        )
        secrets = Secrets(place.namespace, place, namespace)
        after = [namespace, record, *secrets.resources]
        datastores = Datastores(place.namespace, place, after, inside)
        self.endpoints = dict(datastores.endpoints)
        livekit_url = deployment.livekit_url or ""
        if deployment.livekit == "development":
            livekit = LiveKit(place.namespace, place, after, inside)
            livekit_url = livekit.url
            after = [*after, livekit]
        self.endpoints["livekit"] = livekit_url
        Fleet(place.namespace, place, FleetArgs(livekit_url, [*after, datastores]), inside)
        if deployment.monitoring:
            Monitoring(place.namespace, place, after, inside)
        self.register_outputs({"endpoints": self.endpoints})
