"""The door: what a kind cluster on this machine is made of, from a container registry or without one, chosen once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from infra.supply.engine import Engine
from infra.supply.images import Images
from infra.supply.offline.supply import Offline
from infra.supply.registry import Registry


class Supply(Protocol):
    """Where the parts come from. All of it raises BuildError or CommandFailed, which say what to do."""

    network_plugin_cpu: str | None
    """What its nodes' network plugin needs to be given; None where kind's own figure will do."""

    def engine(self) -> Engine:
        """The Docker Engine that answers, started where there is none and this may be done."""

    def images(self, engine: Engine) -> Images:
        """What has to be built of the stack, and loaded."""

    def node_image(self, engine: Engine) -> str | None:
        """What nodes are made of; None where kind pulls its own."""

    def pulumi(self, workspace: Path) -> dict[str, str]:
        """The environment in which `pulumi` finds itself and its plugins."""

    def policy_pack(self, source: Path, workspace: Path) -> Path:
        """The pack of a folder, as that engine can start it."""

    def everything(self, engine: Engine) -> list[str]:
        """All that takes long, ahead of its use: the names of the images."""


def chosen() -> Supply:
    """As the variable OFFLINE says: unset, empty or 0 is a registry."""
    return Registry() if os.environ.get("OFFLINE", "") in ("", "0") else Offline()
