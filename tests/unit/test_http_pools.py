"""What a search engine's client held is closed with it, also to a node that it has given up for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from agent.runtime.datastores.base import Datastore
from agent.runtime.datastores.elasticsearch import Elasticsearch, ElasticsearchSettings
from agent.runtime.datastores.opensearch import OpenSearch, OpenSearchSettings
from infra.local.ports import LOOPBACK

UNAVAILABLE = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
)


def elasticsearch(url: str) -> Datastore:
    return Elasticsearch(ElasticsearchSettings.from_environment({"ELASTICSEARCH_URL": url}), 2)


def opensearch(url: str) -> Datastore:
    return OpenSearch(OpenSearchSettings.from_environment({"OPENSEARCH_URL": url}), 2)


@pytest.mark.parametrize("made", [elasticsearch, opensearch])
async def test_a_connection_to_a_node_that_failed_is_closed(made: Callable[[str], Datastore]) -> None:
    clients: list[asyncio.Task[None] | None] = []

    async def unavailable(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clients.append(asyncio.current_task())
        while await reader.readline():
            while (await reader.readline()).strip():
                pass
            writer.write(UNAVAILABLE)
        writer.close()

    async with await asyncio.start_server(unavailable, LOOPBACK, 0) as server:
        url = f"http://{LOOPBACK}:{server.sockets[0].getsockname()[1]}"
        datastore = made(f"{url},{url}/second")  # a client of one node does not give it up
        with pytest.raises(Exception, match="503"):
            await datastore.open()
        await datastore.close()
        assert clients
        async with asyncio.timeout(5):
            await asyncio.gather(*(client for client in clients if client))
