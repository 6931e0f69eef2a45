"""OpenSearch 3.2."""

from __future__ import annotations

from typing import Any

from infra.local.servers.search import search_server


async def _keep(client: Any, call: dict[str, str]) -> None:
    await client.index(index="calls", body=call)


SERVER = search_server("opensearch", _keep)
