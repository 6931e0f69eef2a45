"""The supply of a machine without a container registry: what would be pulled is built from package registries."""

from __future__ import annotations

import sys
from pathlib import Path

from infra.supply import agent_image
from infra.supply.engine import Engine, running
from infra.supply.images import Images, ensure
from infra.supply.offline import dockerd, node_image, pulumi_engine, server_images
from infra.supply.offline.packages import need
from infra.supply.places import ROOT


class Offline:
    """`Supply` (choice.py). Needs root: for debootstrap, and for a Docker Engine where none answers."""

    # kind gives its network plugin a tenth of a core. Ours answers for every new connection and runs iptables besides:
    # lookups take 0.04 s with a core, 0.2 s with a tenth (p99, measured).
    network_plugin_cpu: str | None = "1"

    def engine(self) -> Engine:
        return running() or dockerd.start()

    def images(self, engine: Engine) -> Images:
        need("debootstrap")
        servers = server_images.servers()
        agent = agent_image.name_on(server_images.recipe())
        tags = ensure(engine, {**servers, agent: _agent})
        return Images(tags, server_images.values(tags))

    def node_image(self, engine: Engine) -> str | None:
        return node_image.node_image(engine)

    def pulumi(self, workspace: Path) -> dict[str, str]:
        own = pulumi_engine.environment(pulumi_engine.engine_directory(), Path(sys.executable))
        return own | {"PULUMI_HOME": str(workspace / "home")}

    def policy_pack(self, source: Path, workspace: Path) -> Path:
        return pulumi_engine.policy_pack(source, ROOT / ".venv", workspace)

    def everything(self, engine: Engine) -> list[str]:
        made = self.images(engine).names
        pulumi_engine.engine_directory()
        return [*made, node_image.node_image(engine)]


def _agent(engine: Engine, name: str) -> None:
    agent_image.build(engine, name, "--build-arg", f"BASE={server_images.python_base(engine)}")
