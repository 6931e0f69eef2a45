"""PostgreSQL by asyncpg: a bounded pool. Needs the package `asyncpg`.

Beside its pool a client holds nothing. A query that is cancelled, or whose time is over, has asyncpg send the server a
cancel request over a connection of its own, for a round trip: PostgreSQL gives it no place of `max_connections`
(measured), a pooler in front of it may.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, NoReturn
from urllib.parse import parse_qs

import asyncpg
from pydantic import Field, SecretStr

from agent.runtime import metrics
from agent.runtime.datastores.base import Connections, Home, within_share
from agent.runtime.datastores.sockets import has_peer
from agent.runtime.datastores.urls import check_files, read, refuse
from agent.runtime.errors import CLIENTS_DO_NOT_TRAVEL
from agent.runtime.settings import Environment, PoolSize, Seconds, secret_url

NAME = "postgresql"
VARIABLE = "POSTGRESQL_URL"
FORM = "postgresql://user[:password]@host[:port]/database[?options], several hosts separated by commas"
CONNECT_SECONDS = 3.0
# Below the 60 s after which load balancers usually drop a silent connection without a word.
IDLE_SECONDS = 50.0
# asyncpg hands what it does not know to the server as a setting, which refuses all but its own at connecting.
_FILES = ("passfile", "sslcert", "sslcrl", "sslkey", "sslrootcert")
_CLIENTS = (
    "gsslib", "krbsrvname", "ssl_max_protocol_version", "ssl_min_protocol_version", "sslmode", "sslnegotiation",
    "sslpassword", "target_session_attrs",
)  # fmt: skip
_SERVERS = ("application_name", "lock_timeout", "options", "search_path", "statement_timeout")
ACCEPTED = (*_FILES, *_CLIENTS, *_SERVERS)


class PostgreSQLSettings(Environment):
    """How one client reaches PostgreSQL, and its share of the server's connections."""

    url: Annotated[SecretStr, secret_url("postgresql", "postgres")] = Field(alias="POSTGRESQL_URL")
    pool: PoolSize = Field(2, alias="POSTGRESQL_POOL", description="connections of a job")
    worker_pool: int = Field(1, alias="POSTGRESQL_WORKER_POOL", ge=0, le=1_000)
    wait_seconds: Seconds = Field(5, alias="POSTGRESQL_WAIT_SECONDS", description="longest wait for the pool")
    reply_seconds: Seconds = Field(
        10,
        alias="POSTGRESQL_REPLY_SECONDS",
        description="longest wait for a reply; `timeout=` of a call wins",
    )
    statement_cache_size: int = Field(
        100,
        alias="POSTGRESQL_STATEMENT_CACHE_SIZE",
        ge=0,
        le=10_000,
        description="prepared statements a connection keeps; 0 behind a pooler that cannot keep them",
    )


if TYPE_CHECKING:
    Pool = asyncpg.Pool[Any]
else:
    Pool = asyncpg.Pool  # generic for type checkers alone


class BoundedPool(Pool):
    """A pool that belongs to one loop of one process, and whose wait for a connection ends.

    asyncpg by itself waits for ever (`Pool.fetch(timeout=…)` limits the query alone), and in another loop raises what
    does not say so.
    """

    def __init__(self, settings: PostgreSQLSettings, pool: int) -> None:
        super().__init__(
            settings.url.get_secret_value(),
            min_size=0,
            max_size=pool,
            max_queries=50_000,
            max_inactive_connection_lifetime=IDLE_SECONDS,
            loop=None,
            connection_class=asyncpg.Connection,
            record_class=asyncpg.Record,
            timeout=CONNECT_SECONDS,
            command_timeout=settings.reply_seconds,
            statement_cache_size=settings.statement_cache_size,
        )
        self._wait_seconds = settings.wait_seconds
        self.home = Home(NAME)

    # Under `acquire()` and every operation of the pool's own.
    async def _acquire(self, timeout: float | None) -> Any:
        self.home.check()
        started = time.perf_counter()
        seconds = self._wait_seconds if timeout is None else timeout
        connection = await super()._acquire(seconds)  # type: ignore[misc]
        metrics.CHECKOUT_SECONDS.labels(NAME).observe(time.perf_counter() - started)
        return connection

    def __reduce__(self) -> NoReturn:
        raise TypeError(CLIENTS_DO_NOT_TRAVEL)

    def connections(self) -> Connections:
        """Connected sockets, as the kernel says; one that is still dialled is not counted."""
        holders = self._holders  # type: ignore[attr-defined]  # no public way to them
        held = [holder for holder in holders if _is_held(holder._con)]  # noqa: SLF001
        in_use = sum(not holder.is_idle() for holder in held)
        return Connections(in_use=in_use, idle=len(held) - in_use)


class PostgreSQL:
    """A client over one bounded pool."""

    name = NAME

    def __init__(self, settings: PostgreSQLSettings, pool: int) -> None:
        check(settings.url.get_secret_value())
        self.client = BoundedPool(settings, pool)

    async def open(self) -> None:
        await self.client
        await self.client.fetchval("SELECT 1")

    async def close(self) -> None:
        self.client.home.close()
        await self.client.close()

    def connections(self) -> Connections:
        return self.client.connections()


def check(text: str) -> None:
    """
    Raises:
        SettingsError: the URL cannot be read, lacks what asyncpg would take from PG… variables or files instead, or has
            an option that is none of `ACCEPTED`.
    """
    url = read(VARIABLE, text, FORM)
    if not url.has_user or not url.path:
        refuse(VARIABLE, f"it has no user, or no database; accepted: {FORM}")
    query = parse_qs(url.query, keep_blank_values=True)
    for name, values in query.items():
        if name not in ACCEPTED:
            refuse(VARIABLE, f"it has an option {name!r}; accepted: {', '.join(ACCEPTED)}")
        if not values[0] or len(values) > 1:  # asyncpg passes it over, or takes the last
            refuse(VARIABLE, f"its option {name} has no value, or more than one")
    check_files(VARIABLE, [(name, query[name][0]) for name in _FILES if name in query])


def _is_held(connection: asyncpg.Connection[Any] | None) -> bool:
    if connection is None or connection.is_closed():
        return False
    transport = connection._transport  # type: ignore[attr-defined]  # noqa: SLF001
    sock = transport.get_extra_info("socket") if transport else None
    return sock is not None and has_peer(sock)


@asynccontextmanager
async def postgresql(*, settings: PostgreSQLSettings | None = None) -> AsyncIterator[asyncpg.Pool[Any]]:
    """Open PostgreSQL in a job or worker lifespan and yield the pool.

    Args:
        settings: instead of the environment's.

    Raises:
        SettingsError: `POSTGRESQL_URL` is missing or a variable is unusable.
        LifespanError, DatastoreUnavailable: see `agent.runtime.datastores.base.opened`.
    """
    settings = settings or PostgreSQLSettings.from_environment()
    async with within_share(NAME, settings, lambda pool: PostgreSQL(settings, pool)) as datastore:
        yield datastore.client
