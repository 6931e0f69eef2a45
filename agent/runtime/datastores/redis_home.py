"""Connections of Redis that end with their lifespan, whatever they are doing when it is left.

redis-py disconnects those that are connected at that moment. One that is still dialling connects after it, carries out
its command, and stays open (measured, of pools and of a Cluster's nodes).
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection

from agent.runtime.datastores.base import Home


class RedisHome(Home):
    """Where connections are dialled from, and what they are closed with."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._dialling: set[asyncio.Task[None]] = set()
        self._dialled: weakref.WeakSet[OwnedConnection] = weakref.WeakSet()

    async def dial(self, connection: OwnedConnection, connect: Callable[[], Awaitable[None]]) -> None:
        """Raises LifespanError when the lifespan has been left, also when that happens meanwhile."""
        self.check()
        self._dialled.add(connection)
        dialling = asyncio.ensure_future(connect())
        self._dialling.add(dialling)
        dialling.add_done_callback(self._dialling.discard)
        try:
            await dialling
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or not task.cancelling():  # not the command: the dialling alone, by `leave`
                self.check()
            raise

    async def leave(self) -> None:
        """Let nothing be dialled any more, and disconnect what is. Raises what the first disconnect raised, at last."""
        self.close()
        if self._dialling:
            for dialling in self._dialling:
                dialling.cancel()
            await asyncio.wait(self._dialling)
        ended = await asyncio.gather(
            *(connection.disconnect() for connection in list(self._dialled)), return_exceptions=True
        )
        for error in ended:
            if error is not None:
                raise error


class OwnedConnection(AbstractConnection):
    """A connection that is dialled from its home alone."""

    def __init__(self, *, home: RedisHome, **options: Any) -> None:
        super().__init__(**options)
        self._home = home

    async def _connect(self) -> None:
        await self._home.dial(self, super()._connect)  # type: ignore[safe-super]  # that of the class beside it


class OwnedPlainConnection(OwnedConnection, Connection):
    pass


class OwnedTLSConnection(OwnedConnection, SSLConnection):
    pass


OWNED: dict[type[AbstractConnection], type[OwnedPlainConnection | OwnedTLSConnection]] = {
    Connection: OwnedPlainConnection,
    SSLConnection: OwnedTLSConnection,
}
