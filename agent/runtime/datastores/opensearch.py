"""OpenSearch by its asynchronous client, with a bounded pool to each node. Needs the package `opensearch-py[async]`.

Elasticsearch's client refuses OpenSearch. Nodes are those of `OPENSEARCH_URL`; others are not looked for (no sniffing).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

from opensearchpy import AIOHttpConnection, AsyncOpenSearch
from opensearchpy._async.http_aiohttp import OpenSearchClientResponse
from pydantic import Field, SecretStr

from agent.runtime.datastores.base import Connections, within_share
from agent.runtime.datastores.http_pools import HttpPools
from agent.runtime.datastores.urls import read_nodes
from agent.runtime.errors import CLIENTS_DO_NOT_TRAVEL, SettingsError
from agent.runtime.settings import Environment, PoolSize, Seconds, secret_url

NAME = "opensearch"


class OpenSearchSettings(Environment):
    """How one client reaches OpenSearch, and its share of each node's connections."""

    url: Annotated[SecretStr, secret_url("http", "https")] = Field(
        alias="OPENSEARCH_URL",
        description="of every node, separated by commas, with user:password@ if need be",
    )
    ca_file: Path | None = Field(None, alias="OPENSEARCH_CA_FILE", description="of a private authority")
    pool: PoolSize = Field(2, alias="OPENSEARCH_POOL", description="a job's, to each node")
    worker_pool: int = Field(1, alias="OPENSEARCH_WORKER_POOL", ge=0, le=1_000)
    wait_seconds: Seconds = Field(5, alias="OPENSEARCH_WAIT_SECONDS", description="longest wait for the pool")
    reply_seconds: Seconds = Field(
        10, alias="OPENSEARCH_REPLY_SECONDS", description="longest wait for a reply"
    )


class OpenSearchClient(AsyncOpenSearch):
    """An `AsyncOpenSearch` that says why it cannot be passed to a job process."""

    def __reduce__(self) -> NoReturn:
        raise TypeError(CLIENTS_DO_NOT_TRAVEL)


class BoundedConnection(AIOHttpConnection):
    """A node that stays closed: opensearch-py by itself makes a new session after `close()` (measured)."""

    def __init__(self, *args: Any, pools: HttpPools, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pools = pools

    async def perform_request(self, *args: Any, **kwargs: Any) -> Any:
        self._pools.home.check()
        return await super().perform_request(*args, **kwargs)

    async def _create_aiohttp_session(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.session = self._pools.session(
            headers=self.headers,
            skip_auto_headers=("accept", "accept-encoding"),
            response_class=OpenSearchClientResponse,
            ssl=self._ssl_context or False,
        )


class OpenSearch:
    """A client over bounded pools."""

    name = NAME

    def __init__(self, settings: OpenSearchSettings, pool: int) -> None:
        self._pools = HttpPools(NAME, pool, settings.wait_seconds)
        urls = read_nodes("OPENSEARCH_URL", settings.url.get_secret_value())
        try:
            self.client = self._client(settings, urls)
        except (ValueError, TypeError, OSError) as error:
            # Their own message may repeat the URL, and the password in it.
            raise SettingsError(
                f"environment: OPENSEARCH_URL=(hidden), OPENSEARCH_CA_FILE={settings.ca_file}: the client refuses them "
                f"({type(error).__name__}); accepted: http[s]://[user:password@]host:port, several separated by "
                "commas, and a file of certificates"
            ) from None

    def _client(self, settings: OpenSearchSettings, urls: list[str]) -> OpenSearchClient:
        ca_file = str(settings.ca_file) if settings.ca_file else None
        # The same for every node: one context instead of one each, read from disk once.
        secure = any(url.startswith("https://") for url in urls)
        return OpenSearchClient(
            urls,
            connection_class=BoundedConnection,
            pools=self._pools,
            timeout=settings.reply_seconds,
            retry_on_timeout=False,  # the server may have carried the request out
            ssl_context=ssl.create_default_context(cafile=ca_file) if secure else None,
        )

    async def open(self) -> None:
        await self.client.info()

    async def close(self) -> None:
        self._pools.home.close()
        try:
            await self.client.close()
        finally:
            await self._pools.close()

    def connections(self) -> Connections:
        return self._pools.connections()


@asynccontextmanager
async def opensearch(*, settings: OpenSearchSettings | None = None) -> AsyncIterator[AsyncOpenSearch]:
    """Open OpenSearch in a job or worker lifespan and yield the client.

    Args:
        settings: instead of the environment's.

    Raises:
        SettingsError: `OPENSEARCH_URL` is missing or a variable is unusable.
        LifespanError, DatastoreUnavailable: see `agent.runtime.datastores.base.opened`.
    """
    settings = settings or OpenSearchSettings.from_environment()
    async with within_share(NAME, settings, lambda pool: OpenSearch(settings, pool)) as datastore:
        yield datastore.client
