"""Redis (or Valkey) by redis-py's asyncio client, over one bounded pool that waits instead of growing."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NoReturn

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import EqualJitterBackoff, NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.maint_notifications import MaintNotificationsConfig

from agent.runtime import metrics
from agent.runtime.datastores.base import Connections, Home, within_share
from agent.runtime.errors import CLIENTS_DO_NOT_TRAVEL, SettingsError
from agent.runtime.settings import RedisSettings

NAME = "redis"
CONNECT_TIMEOUT_SECONDS = 3.0
# An idle connection is checked before use when it was silent this long: a restarted server is noticed.
HEALTH_CHECK_SECONDS = 30
# Over 0.7 to 1.4 s in all: half of each pause is drawn, so that a fleet does not come back in step. (With pauses drawn
# as a whole, which may be none, jobs of a fleet dialled twice as often; measured, tests/faults/rows_outage.py.)
RETRIES = 3


class BoundedPool(BlockingConnectionPool):
    """A pool that belongs to one loop of one process, and stays closed once it is closed.

    redis-py by itself reconnects silently after `aclose()` and does not notice another loop (measured, FACTS.md).
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._home = Home(NAME)

    async def get_connection(self, *args: Any, **kwargs: Any) -> AbstractConnection:
        self._home.check()
        started = time.perf_counter()
        connection: AbstractConnection = await super().get_connection(*args, **kwargs)  # type: ignore[no-untyped-call]
        metrics.CHECKOUT_SECONDS.labels(NAME).observe(time.perf_counter() - started)
        return connection

    async def aclose(self) -> None:
        self._home.close()
        # A command in flight would otherwise connect again by its retries.
        self.set_retry(Retry(NoBackoff(), 0))
        await super().aclose()

    def __reduce__(self) -> NoReturn:
        raise TypeError(CLIENTS_DO_NOT_TRAVEL)

    def connections(self) -> Connections:
        """Connected sockets; redis-py's own `get_connection_count()` counts objects, connected or not."""
        return Connections(
            in_use=sum(map(_is_held, self._in_use_connections)),
            idle=sum(map(_is_held, self._available_connections)),
        )


def _is_held(connection: AbstractConnection) -> bool:
    """Connected at both ends: an idle one whose server went stays `is_connected` until its next use (measured)."""
    reader = connection._reader  # noqa: SLF001  # redis-py offers no public way to see the end of the stream
    return connection.is_connected and reader is not None and not reader.at_eof()


class RedisClient(Redis):
    """A `Redis` that says why it cannot be passed to a job process."""

    def __reduce__(self) -> NoReturn:
        raise TypeError(CLIENTS_DO_NOT_TRAVEL)


class RedisDatastore:
    """A client over one `BoundedPool`, which pub/sub and blocking commands share."""

    name = NAME

    def __init__(self, settings: RedisSettings, pool: int) -> None:
        try:
            self._pool = BoundedPool.from_url(
                settings.url.get_secret_value(),
                max_connections=pool,
                timeout=settings.wait_seconds,
                # from_url gives no retries unless the pool has them (measured, FACTS.md). A reply that did not come in
                # time is not asked for again: the server may have carried the command out.
                retry=Retry(EqualJitterBackoff(base=0.1, cap=1.0), RETRIES, (RedisConnectionError,)),
                socket_timeout=settings.reply_seconds,
                socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
                socket_keepalive=True,
                health_check_interval=HEALTH_CHECK_SECONDS,
                maint_notifications_config=MaintNotificationsConfig(enabled=False),
                # No CLIENT SETINFO: HELLO, with the password in it, is the one question at connecting.
                driver_info=None,
                decode_responses=True,
            )
        except (ValueError, TypeError):
            # Their own message repeats part of the URL, which may be part of the password (measured).
            raise SettingsError(
                "environment: REDIS_URL=(hidden): redis-py cannot read it; accepted: "
                "redis[s]://[user:password@]host[:port][/db] with reserved characters percent-encoded"
            ) from None
        # In redis-py a URL's query wins over arguments.
        for option, actual, solved in (
            ("max_connections", self._pool.max_connections, pool),
            ("timeout", self._pool.timeout, settings.wait_seconds),
        ):
            if actual != solved:
                raise SettingsError(
                    f"environment: REDIS_URL sets {option}, which would override the budget's; accepted: a URL "
                    f"without {option}"
                )
        self.client = RedisClient(connection_pool=self._pool)

    async def open(self) -> None:
        connection = await self._pool.get_connection()
        await self._pool.release(connection)
        # The server has answered HELLO by then; a URL that says protocol=2 asked it nothing.
        if connection.get_protocol() != 3:
            await self.client.ping()

    async def close(self) -> None:
        # With connection_pool= the client does not own the pool, so both are closed.
        try:
            await self.client.aclose()
        finally:
            await self._pool.aclose()

    def connections(self) -> Connections:
        return self._pool.connections()


@asynccontextmanager
async def redis(*, settings: RedisSettings | None = None) -> AsyncIterator[Redis]:
    """Open Redis in a job or worker lifespan and yield the client; replies are `str`.

    Args:
        settings: instead of the environment's.

    Raises:
        SettingsError: `REDIS_URL` is missing or a variable is unusable.
        LifespanError, DatastoreUnavailable: see `agent.runtime.datastores.base.opened`.
    """
    settings = settings or RedisSettings.from_environment()
    async with within_share(NAME, settings, lambda pool: RedisDatastore(settings, pool)) as datastore:
        yield datastore.client
