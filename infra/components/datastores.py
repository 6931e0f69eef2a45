"""MongoDB and Redis of a cell: our charts where the budget sizes a server of ours, nothing where it is managed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi

from infra.components.charts import Place, chart
from infra.deployment import ChartName


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
        needs: dict[ChartName, tuple[int, str]] = {
            "mongodb": (27017, secrets.mongodb),
            "redis": (6379, secrets.redis),
        }
        for chart_name, (port, users) in needs.items():
            if datastores[chart_name].server is None:
                self.endpoints[chart_name] = (
                    f"managed, named by {chart_name.upper()}_URL of the Secret {secrets.worker}"
                )
                continue
            values: dict[str, Any] = {"auth": {"existingSecret": users}}
            chart(chart_name, place, values, parent=self, depends_on=after)
            self.endpoints[chart_name] = f"{chart_name}.{place.namespace}.svc:{port}"
        self.register_outputs({"endpoints": self.endpoints})
