"""The datastores beyond MongoDB and Redis that this machine can run: those of the registry with a module here."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec

from infra.datastores import KINDS
from infra.local.servers.server import Server

NAMES = tuple(
    kind.name
    for kind in KINDS.values()
    if not kind.of_its_own_section and find_spec(f"{__package__}.{kind.name}")
)


def server_of(name: str) -> Server:
    """One of `NAMES`."""
    server: Server = import_module(f"{__package__}.{name}").SERVER
    return server


def build(names: Iterable[str]) -> None:
    """Build what is missing for these. Raises BuildError."""
    for name in names:
        server_of(name).build()
