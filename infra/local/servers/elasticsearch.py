"""Elasticsearch 7.10.2, with what newer clients ask for."""

from __future__ import annotations

from typing import Any

from infra.local.servers.search import search_server


async def _keep(client: Any, call: dict[str, str]) -> None:
    await client.index(index="calls", document=call)


SERVER = search_server("elasticsearch", _keep)
