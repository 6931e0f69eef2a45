"""MongoDB and Redis of a cell: our charts where the budget sizes a server of ours, nothing where it is managed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi

from infra.config.deployment import ChartName
from infra.datastores import MONGODB, REDIS, DatastoreKind
from infra.stack.components.charts import Place, chart


class Datastores(pulumi.ComponentResource):
    """The cell's own servers, sized by the solution."""

    endpoints: dict[str, str]
    """Where each datastore is, as people read it."""

    def __init__(
        self, name: str, place: Place, after: Sequence[pulumi.Resource], opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__("agent-datastores:infra:Datastores", name, None, opts)
        secrets, datastores = place.deployment.secrets, place.solution.datastores
        self.endpoints = {}
        ours: dict[ChartName, tuple[DatastoreKind, str]] = {
            "mongodb": (MONGODB, secrets.mongodb),
            "redis": (REDIS, secrets.redis),
        }
        for chart_name, (kind, users) in ours.items():
            if datastores[kind.name].server is None:
                self.endpoints[kind.name] = (
                    f"managed, named by {kind.url_variable} of the Secret {secrets.worker}"
                )
                continue
            values: dict[str, Any] = {"auth": {"existingSecret": users}}
            chart(chart_name, place, values, parent=self, depends_on=after)
            self.endpoints[kind.name] = f"{chart_name}.{place.namespace}.svc:{kind.ports[0]}"
        self.register_outputs({"endpoints": self.endpoints})
