"""The supply of a machine that reaches a container registry: official images, an installed Docker and Pulumi."""

from __future__ import annotations

import shutil
from pathlib import Path

from infra.supply import agent_image
from infra.supply.engine import NONE_ANSWERS, Engine, running
from infra.supply.errors import BuildError
from infra.supply.images import Images, ensure

NO_PULUMI = """\
pulumi: not found; install it (https://www.pulumi.com/docs/iac/download-install/) and uv, or, without a
  container registry, OFFLINE=1 builds the engine from its Go module"""


class Registry:
    """`Supply` (choice.py): nothing but the agent's image is built."""

    network_plugin_cpu: str | None = None

    def engine(self) -> Engine:
        if found := running():
            return found
        raise BuildError(NONE_ANSWERS)

    def images(self, engine: Engine) -> Images:
        return Images(ensure(engine, {agent_image.name_on("official base"): agent_image.build}))

    def node_image(self, engine: Engine) -> str | None:  # noqa: ARG002  # kind pulls it
        return None

    def pulumi(self, workspace: Path) -> dict[str, str]:  # noqa: ARG002  # an installed one has its own
        if not shutil.which("pulumi"):
            raise BuildError(NO_PULUMI)
        return {}

    def policy_pack(self, source: Path, workspace: Path) -> Path:  # noqa: ARG002  # started as it is
        return source

    def everything(self, engine: Engine) -> list[str]:
        return self.images(engine).names
