"""One livekit-server for development clusters; production names a server of its own."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from infra.stack.components.charts import Place, chart


class LiveKit(pulumi.ComponentResource):
    """A livekit-server in the cell's namespace, with the API key of the workers' Secret."""

    url: str
    """Where workers register."""

    def __init__(
        self, name: str, place: Place, after: Sequence[pulumi.Resource], opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__("agent-datastores:infra:LiveKit", name, None, opts)
        keys = {"keys": {"existingSecret": place.deployment.secrets.worker}}
        chart("livekit", place, keys, parent=self, depends_on=after)
        self.url = f"ws://livekit.{place.namespace}.svc:7880"
        self.register_outputs({"url": self.url})
