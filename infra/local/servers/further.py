"""The datastores beyond MongoDB and Redis that this machine can run, by their name in the stack config."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from infra.local.kernel import Endpoint
from infra.local.run import Run
from infra.local.servers import search, weaviate
from infra.supply.binaries import build_missing
from infra.supply.java_servers import java_server

NAMES = ("weaviate", "elasticsearch", "opensearch")


@dataclass(frozen=True)
class Further:
    """A running server: where its connections are counted, and what a worker must know to reach it."""

    endpoint: Endpoint
    environment: dict[str, str]


def build(names: Iterable[str]) -> None:
    """Build what is missing for these, for minutes when nothing is cached. Raises BuildError."""
    for name in names:
        if name == "weaviate":
            build_missing([name])
        else:
            java_server(name)


async def start(run: Run, name: str) -> Further:
    """Start one of `NAMES`.

    Raises:
        StartFailed: with its last log lines.
    """
    if name == "weaviate":
        server = await weaviate.start(run)
        settings = server.settings
        return Further(
            Endpoint(server.process.pid, settings.port, also=(settings.grpc_port,)),
            {
                "WEAVIATE_URL": server.url,
                "WEAVIATE_GRPC_URL": server.grpc_url,
                "WEAVIATE_API_KEY": settings.key,
            },
        )
    node = await search.start(run, "elasticsearch" if name == "elasticsearch" else "opensearch")
    return Further(Endpoint(node.process.pid, node.port), {f"{name.upper()}_URL": node.url})
