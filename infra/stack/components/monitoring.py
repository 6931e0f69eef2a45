"""Dashboards and alerts of a cell, whose thresholds are the budget's."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from infra.stack.components.charts import Place, chart


class Monitoring(pulumi.ComponentResource):
    """The monitoring chart in the cell's namespace."""

    def __init__(
        self, name: str, place: Place, after: Sequence[pulumi.Resource], opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__("agent-datastores:infra:Monitoring", name, None, opts)
        chart("monitoring", place, {}, parent=self, depends_on=after)
        self.register_outputs({"digest": place.solution.digest})
