"""A cell: a namespace with its Secrets, datastores, LiveKit where it is ours, and fleet, in the order of their need."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from infra.components.charts import Place
from infra.components.datastores import Datastores
from infra.components.fleet import Fleet, FleetArgs
from infra.components.livekit import LiveKit
from infra.components.monitoring import Monitoring
from infra.components.secrets import Secrets
from infra.rollover import Rollover
from infra.running import RECORD, RECORD_KEY, write_record


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
                "labels": deployment.labels | {"pod-security.kubernetes.io/enforce": "restricted"},
            },
            opts=pulumi.ResourceOptions(
                parent=self,
                provider=place.provider,
                # With the namespace its volumes would go: destroy leaves both unless it was told so before.
                retain_on_delete=deployment.data == "keep",
            ),
        )
        # Written before anything else changes: an `up` that fails half-way has left its numbers here.
        record = kubernetes.core.v1.ConfigMap(
            f"{place.namespace}-{RECORD}",
            metadata={"name": RECORD, "namespace": place.namespace, "labels": dict(deployment.labels)},
            data={RECORD_KEY: write_record(args.rollover.record)},
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
