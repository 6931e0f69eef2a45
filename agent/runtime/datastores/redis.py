"""Redis (or Valkey) by redis-py's asyncio client, over one bounded pool that waits instead of growing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NoReturn, cast

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from agent.runtime.datastores import redis_url
from agent.runtime.datastores.base import Connections, opened, within_share
from agent.runtime.datastores.redis_cluster import RedisClusterDatastore
from agent.runtime.datastores.redis_hosts import kind_of
from agent.runtime.datastores.redis_pool import NAME, BoundedPool
from agent.runtime.datastores.redis_sentinel import FOLLOWING, FollowingPool, Sentinels
from agent.runtime.datastores.redis_server import (
    CLASSES,
    HELLO,
    AskingConnection,
    Replica,
    check_server,
)
from agent.runtime.errors import CLIENTS_DO_NOT_TRAVEL, DatastoreUnavailable
from agent.runtime.scope import Scope
from agent.runtime.settings import RedisSettings


class RedisClient(Redis):
    """A `Redis` that says why it cannot be passed to a job process."""

    def __reduce__(self) -> NoReturn:
        raise TypeError(CLIENTS_DO_NOT_TRAVEL)


class RedisDatastore:
    """A client over one `BoundedPool`, which pub/sub and blocking commands share."""

    name = NAME

    def __init__(
        self,
        settings: RedisSettings,
        pool: int,
        sentinels: Sentinels | None = None,
        *,
        decode_responses: bool = True,
    ) -> None:
        kind, classes = (FollowingPool, FOLLOWING) if sentinels else (BoundedPool, CLASSES)
        following = (
            {"service_name": sentinels.url.service, "sentinel_manager": sentinels} if sentinels else {}
        )
        text = sentinels.url.server if sentinels else settings.url.get_secret_value()
        arguments = redis_url.arguments(settings, text, pool, decode_responses=decode_responses)
        self._pool = kind.from_url(text, **arguments, **following)
        self._pool.connection_class = classes[self._pool.connection_class]
        self.client = RedisClient(connection_pool=self._pool)

    async def open(self) -> None:
        try:
            await redis_url.retry(Replica).call_with_retry(self._ask, self._dial_anew)
        except Replica as error:
            raise DatastoreUnavailable(f"redis could not be opened: {error}") from None

    async def _ask(self) -> None:
        """Does it answer, and is it what a client of one server can use?"""
        connection = await self._pool.get_connection()
        await self._pool.release(connection)
        hello = connection.hello if isinstance(connection, AskingConnection) else None
        # A URL that says protocol=2 has asked nothing yet; where HELLO is not known, PING does.
        if connection.get_protocol() != 3:
            try:
                hello = await self.client.execute_command(HELLO)  # type: ignore[no-untyped-call]
            except ResponseError:
                await self.client.ping()
        check_server(hello)

    async def _dial_anew(self, _: Exception) -> None:
        await self._pool.disconnect()

    async def close(self) -> None:
        # With connection_pool= the client does not own the pool, so both are closed.
        try:
            await self.client.aclose()
        finally:
            await self._pool.aclose()

    def connections(self) -> Connections:
        return self._pool.connections()


@asynccontextmanager
async def redis(
    *, decode_responses: bool = True, settings: RedisSettings | None = None
) -> AsyncIterator[Redis]:
    """Open Redis in a job or worker lifespan and yield the client.

    Where `REDIS_URL` is `redis+cluster://…` the client is a `redis.asyncio.RedisCluster`, whose commands are the same.

    Args:
        decode_responses: replies are `str`, and one that is no UTF-8 raises UnicodeDecodeError. False, redis-py's own
            default: `bytes`, for values that are no text.
        settings: instead of the environment's.

    Raises:
        SettingsError: `REDIS_URL` is missing, a variable is unusable, or one contradicts another.
        LifespanError, DatastoreUnavailable: see `agent.runtime.datastores.base.opened`.
    """
    settings = settings or RedisSettings.from_environment()
    Scope.current(NAME)  # the wrong place is told by the name that was asked for
    several = kind_of(settings.url.get_secret_value())
    async with AsyncExitStack() as stack:
        sentinels = None
        if several == "sentinel":
            sentinels = await stack.enter_async_context(opened(Sentinels(settings)))

        def make(pool: int) -> RedisDatastore | RedisClusterDatastore:
            if several == "cluster":
                return RedisClusterDatastore(settings, pool, decode_responses=decode_responses)
            return RedisDatastore(settings, pool, sentinels, decode_responses=decode_responses)

        datastore = await stack.enter_async_context(within_share(NAME, settings, make))
        yield cast("Redis", datastore.client)
