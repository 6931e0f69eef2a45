"""The bounded pool of Redis, which waits instead of growing."""

from __future__ import annotations

import time
from typing import Any, NoReturn

from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from agent.runtime import metrics
from agent.runtime.datastores.base import Connections
from agent.runtime.datastores.redis_home import RedisHome
from agent.runtime.datastores.sockets import has_peer
from agent.runtime.errors import CLIENTS_DO_NOT_TRAVEL

NAME = "redis"


class BoundedPool(BlockingConnectionPool):
    """A pool that belongs to one loop of one process, and stays closed once it is closed.

    redis-py by itself reconnects silently after `aclose()` and does not notice another loop (measured, FACTS.md).
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._home = self.connection_kwargs["home"] = RedisHome(NAME)

    async def get_connection(self, *args: Any, **kwargs: Any) -> AbstractConnection:
        self._home.check()
        started = time.perf_counter()
        connection: AbstractConnection = await super().get_connection(*args, **kwargs)  # type: ignore[no-untyped-call]
        metrics.CHECKOUT_SECONDS.labels(NAME).observe(time.perf_counter() - started)
        return connection

    async def aclose(self) -> None:
        # A command in flight would otherwise wait out its retries.
        self.set_retry(Retry(NoBackoff(), 0))
        try:
            await self._home.leave()
        finally:
            await super().aclose()

    def __reduce__(self) -> NoReturn:
        raise TypeError(CLIENTS_DO_NOT_TRAVEL)

    def connections(self) -> Connections:
        """Connected sockets; redis-py's own `get_connection_count()` counts objects, connected or not."""
        return Connections(
            in_use=sum(map(is_held, self._in_use_connections)),
            idle=sum(map(is_held, self._available_connections)),
        )


def is_held(connection: AbstractConnection) -> bool:
    """Connected at both ends, as the kernel says.

    An idle one whose server closed or reset it stays `is_connected` until its next use, and after a reset its stream
    is not at its end either (measured).
    """
    writer = connection._writer  # noqa: SLF001  # redis-py offers no public way to the socket
    sock = writer.get_extra_info("socket") if writer else None  # None, too, where TLS has ended
    return sock is not None and has_peer(sock)
