"""Weaviate by its asynchronous client: a bounded HTTP pool and a gRPC channel. Needs the package `weaviate-client`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, NoReturn
from urllib.parse import SplitResult, urlsplit

import httpx
from pydantic import Field, SecretStr
from weaviate import WeaviateAsyncClient
from weaviate.classes.init import AdditionalConfig, Auth, Timeout
from weaviate.config import ConnectionConfig, GrpcConfig
from weaviate.connect import ConnectionParams

from agent.runtime.datastores.base import Connections, Home, within_share
from agent.runtime.datastores.urls import read, refuse
from agent.runtime.errors import CLIENTS_DO_NOT_TRAVEL, SettingsError
from agent.runtime.settings import Environment, PoolSize, Seconds, secret_url

NAME = "weaviate"
GRPC_PORT = 50051
ACCEPTED = "http[s]://host[:port]"
CONNECT_SECONDS = 3.0
# Below the 60 s after which load balancers usually drop a silent connection without a word.
IDLE_SECONDS = 50.0
CHANNEL_OPTIONS = [
    # Not shared with other channels of this process: what a client counts and closes is its own.
    ("grpc.use_local_subchannel_pool", 1),
    # gRPC waits up to two minutes before it looks for a server again that was restarted.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
]


class WeaviateSettings(Environment):
    """How one client reaches Weaviate, and its share of the server's connections."""

    url: Annotated[SecretStr, secret_url("http", "https")] = Field(alias="WEAVIATE_URL")
    grpc_url: Annotated[SecretStr, secret_url("http", "https")] | None = Field(
        None, alias="WEAVIATE_GRPC_URL", description="default: the host of WEAVIATE_URL, port 50051"
    )
    api_key: SecretStr | None = Field(None, alias="WEAVIATE_API_KEY")
    pool: PoolSize = Field(
        2, alias="WEAVIATE_POOL", description="HTTP connections of a job; a gRPC channel comes beside them"
    )
    worker_pool: int = Field(1, alias="WEAVIATE_WORKER_POOL", ge=0, le=1_000)
    wait_seconds: Seconds = Field(5, alias="WEAVIATE_WAIT_SECONDS", description="longest wait for the pool")
    reply_seconds: Seconds = Field(10, alias="WEAVIATE_REPLY_SECONDS", description="longest wait for a reply")


class BoundedTransport(httpx.AsyncHTTPTransport):
    """At most `pool` connections; beyond that a request waits, as long as the client's pool timeout says."""

    def __init__(self, pool: int, home: Home) -> None:
        limits = httpx.Limits(
            max_connections=pool, max_keepalive_connections=pool, keepalive_expiry=IDLE_SECONDS
        )
        super().__init__(limits=limits)
        self._home = home

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._home.check()
        # The client leaves 5 s for connecting, as httpx does.
        request.extensions["timeout"] = request.extensions.get("timeout", {}) | {"connect": CONNECT_SECONDS}
        return await super().handle_async_request(request)

    def connections(self) -> Connections:
        """Connected sockets; httpx shows them to nobody, httpcore underneath does."""
        held = [c for c in self._pool.connections if not (c.is_closed() or c.has_expired())]
        idle = sum(c.is_idle() for c in held)
        return Connections(in_use=len(held) - idle, idle=idle)


class WeaviateClient(WeaviateAsyncClient):
    """A `WeaviateAsyncClient` that stays closed once it is closed, and does not travel into another process."""

    home: Home

    async def connect(self) -> None:
        self.home.check()
        await super().connect()

    def __reduce__(self) -> NoReturn:
        raise TypeError(CLIENTS_DO_NOT_TRAVEL)


class Weaviate:
    """A client over one bounded HTTP pool and one gRPC channel, which carries any number of requests at once."""

    name = NAME

    def __init__(self, settings: WeaviateSettings, pool: int) -> None:
        self._home = Home(NAME)
        self._transport = BoundedTransport(pool, self._home)
        self.client = WeaviateClient(
            _addresses(settings),
            auth_client_secret=Auth.api_key(settings.api_key.get_secret_value())
            if settings.api_key
            else None,
            additional_config=AdditionalConfig(
                connection=ConnectionConfig(session_pool_timeout=settings.wait_seconds),  # type: ignore[arg-type]
                timeout=Timeout(
                    init=settings.reply_seconds, query=settings.reply_seconds, insert=settings.reply_seconds
                ),
                grpc_config=GrpcConfig(channel_options=CHANNEL_OPTIONS),
                trust_env=False,  # a proxy of the environment would get a pool of its own, unbounded
            ),
            # The checks would ask pypi.org for a newer client, on every call; `open` checks what matters.
            skip_init_checks=True,
        )
        self.client.home = self._home
        self._connection = self.client._connection  # noqa: SLF001  # there is no public way to any of what follows
        # weaviate-client 4.24 applies session_pool_maxsize to proxies only: of a pool of 2, 12 connections were seen
        # for 60 requests at once. So it gets its HTTP client from here.
        self._connection._make_client = self._bounded_client  # type: ignore[assignment, method-assign]  # noqa: SLF001
        self._connection.is_connected = self._is_connected  # type: ignore[method-assign]

    def _bounded_client(self, _: object) -> httpx.AsyncClient:
        return httpx.AsyncClient(headers=self._connection._headers, transport=self._transport)  # noqa: SLF001

    def _is_connected(self) -> bool:
        """Asked before every request, HTTP or gRPC."""
        self._home.check()
        return self._connection._connected  # noqa: SLF001

    async def open(self) -> None:
        await self.client.connect()
        await self._connection._ping_grpc("async")  # type: ignore[misc]  # noqa: SLF001

    async def close(self) -> None:
        self._home.close()
        await self.client.close()

    def connections(self) -> Connections:
        http = self._transport.connections()
        channel: Any = self._connection._grpc_channel  # noqa: SLF001
        ready = channel is not None and channel.get_state().name == "READY"
        return Connections(in_use=http.in_use, idle=http.idle + ready)


def _address(variable: str, url: str) -> SplitResult:
    parts = read(variable, url, ACCEPTED)
    if parts.has_user or parts.path or parts.query:
        refuse(
            variable,
            f"it has a user, a path or options; accepted: {ACCEPTED} (WEAVIATE_API_KEY holds the key)",
        )
    return urlsplit(url)


def _addresses(settings: WeaviateSettings) -> ConnectionParams:
    http = _address("WEAVIATE_URL", settings.url.get_secret_value())
    grpc = _address("WEAVIATE_GRPC_URL", settings.grpc_url.get_secret_value()) if settings.grpc_url else None
    try:
        if not http.hostname or (grpc and not grpc.hostname):
            raise ValueError("no host")
        secure = http.scheme == "https"
        return ConnectionParams.from_params(
            http_host=http.hostname,
            http_port=http.port or (443 if secure else 80),
            http_secure=secure,
            grpc_host=(grpc.hostname if grpc else None) or http.hostname,
            grpc_port=(grpc.port or (443 if grpc.scheme == "https" else 80)) if grpc else GRPC_PORT,
            grpc_secure=grpc.scheme == "https" if grpc else secure,
        )
    except ValueError:
        raise SettingsError(
            "environment: WEAVIATE_URL=(hidden), WEAVIATE_GRPC_URL=(hidden): the client cannot read them; accepted: "
            f"{ACCEPTED}"
        ) from None


@asynccontextmanager
async def weaviate(*, settings: WeaviateSettings | None = None) -> AsyncIterator[WeaviateAsyncClient]:
    """Open Weaviate in a job or worker lifespan and yield the client.

    Args:
        settings: instead of the environment's.

    Raises:
        SettingsError: `WEAVIATE_URL` is missing or a variable is unusable.
        LifespanError, DatastoreUnavailable: see `agent.runtime.datastores.base.opened`.
    """
    settings = settings or WeaviateSettings.from_environment()
    async with within_share(NAME, settings, lambda pool: Weaviate(settings, pool)) as datastore:
        yield datastore.client
