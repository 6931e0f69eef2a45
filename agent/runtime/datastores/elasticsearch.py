"""Elasticsearch by its asynchronous client, with a bounded pool to each node. Needs the package `elasticsearch[async]`.

Nodes are those of `ELASTICSEARCH_URL`; the client is not asked to find others (no sniffing), for the budget does not
know them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

from elastic_transport import AiohttpHttpNode, NodeConfig
from elastic_transport.client_utils import url_to_node_config
from elasticsearch import AsyncElasticsearch
from pydantic import Field, SecretStr

from agent.runtime.datastores.base import Connections, within_share
from agent.runtime.datastores.http_pools import HttpPools
from agent.runtime.datastores.urls import read_nodes
from agent.runtime.errors import CLIENTS_DO_NOT_TRAVEL, SettingsError
from agent.runtime.settings import Environment, PoolSize, Seconds, secret_url

NAME = "elasticsearch"


class ElasticsearchSettings(Environment):
    """How one client reaches Elasticsearch, and its share of each node's connections."""

    url: Annotated[SecretStr, secret_url("http", "https")] = Field(
        alias="ELASTICSEARCH_URL", description="of every node, separated by commas"
    )
    api_key: SecretStr | None = Field(None, alias="ELASTICSEARCH_API_KEY")
    ca_file: Path | None = Field(None, alias="ELASTICSEARCH_CA_FILE", description="of a private authority")
    pool: PoolSize = Field(2, alias="ELASTICSEARCH_POOL", description="a job's, to each node")
    worker_pool: int = Field(1, alias="ELASTICSEARCH_WORKER_POOL", ge=0, le=1_000)
    wait_seconds: Seconds = Field(
        5, alias="ELASTICSEARCH_WAIT_SECONDS", description="longest wait for the pool"
    )
    reply_seconds: Seconds = Field(
        10, alias="ELASTICSEARCH_REPLY_SECONDS", description="longest wait for a reply"
    )


class ElasticsearchClient(AsyncElasticsearch):
    """An `AsyncElasticsearch` that says why it cannot be passed to a job process."""

    def __reduce__(self) -> NoReturn:
        raise TypeError(CLIENTS_DO_NOT_TRAVEL)


class BoundedNode(AiohttpHttpNode):
    """A node that stays closed: elastic-transport by itself makes a new session after `close()` (measured)."""

    def __init__(self, config: NodeConfig) -> None:
        super().__init__(config)
        self._pools: HttpPools = config._extras["pools"]  # noqa: SLF001  # elastic-transport's own way to a node class

    async def perform_request(self, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        self._pools.home.check()
        return await super().perform_request(*args, **kwargs)

    def _create_aiohttp_session(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.session = self._pools.session(
            headers=self.headers,
            skip_auto_headers=("accept", "accept-encoding", "user-agent"),
            ssl=self._ssl_context or False,
        )


class Elasticsearch:
    """A client over bounded pools."""

    name = NAME

    def __init__(self, settings: ElasticsearchSettings, pool: int) -> None:
        self._pools = HttpPools(NAME, pool, settings.wait_seconds)
        urls = read_nodes("ELASTICSEARCH_URL", settings.url.get_secret_value())
        try:
            self.client = self._client(settings, urls, pool)
        except (ValueError, TypeError, OSError) as error:
            # Their own message may repeat the URL, and the password in it.
            raise SettingsError(
                "environment: ELASTICSEARCH_URL=(hidden), ELASTICSEARCH_CA_FILE="
                f"{settings.ca_file}: the client refuses them ({type(error).__name__}); accepted: "
                "http[s]://[user:password@]host:port, several separated by commas, and a file of certificates"
            ) from None

    def _client(self, settings: ElasticsearchSettings, urls: list[str], pool: int) -> ElasticsearchClient:
        return ElasticsearchClient(
            [self._node(url, pool, settings.ca_file) for url in urls],
            node_class=BoundedNode,
            api_key=settings.api_key.get_secret_value() if settings.api_key else None,
            request_timeout=settings.reply_seconds,
            retry_on_timeout=False,  # the server may have carried the request out
        )

    def _node(self, url: str, pool: int, ca_file: Path | None) -> NodeConfig:
        config = url_to_node_config(url, use_default_ports_for_scheme=True)
        return config.replace(
            connections_per_node=pool,
            ca_certs=str(ca_file) if ca_file else None,
            _extras={"pools": self._pools},
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
async def elasticsearch(
    *, settings: ElasticsearchSettings | None = None
) -> AsyncIterator[AsyncElasticsearch]:
    """Open Elasticsearch in a job or worker lifespan and yield the client.

    Args:
        settings: instead of the environment's.

    Raises:
        SettingsError: `ELASTICSEARCH_URL` is missing or a variable is unusable.
        LifespanError, DatastoreUnavailable: see `agent.runtime.datastores.base.opened`.
    """
    settings = settings or ElasticsearchSettings.from_environment()
    async with within_share(NAME, settings, lambda pool: Elasticsearch(settings, pool)) as datastore:
        yield datastore.client
