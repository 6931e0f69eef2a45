"""A manager that an application has already, used as it is: `configure()`, `setup()`, `close_connection()`."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import psutil

from agent.runtime.datastores.base import Connections, opened
from agent.runtime.errors import LifespanError

ManagerT = TypeVar("ManagerT")

HELD = frozenset({psutil.CONN_ESTABLISHED, psutil.CONN_CLOSE_WAIT})


class Managed:
    """Calls the manager's methods, those it has, asynchronous or not."""

    def __init__(self, name: str, manager: Any, ports: Collection[int]) -> None:
        self.name = name
        self._manager = manager
        self._ports = frozenset(ports)

    async def open(self) -> None:
        await self._call("configure")
        await self._call("setup")

    async def close(self) -> None:
        await self._call("close_connection")

    def connections(self) -> Connections:
        """This process's sockets to the server's ports, from the kernel: the manager's driver is not known here."""
        sockets = psutil.Process().net_connections(kind="tcp")
        return Connections(
            idle=sum(s.status in HELD and bool(s.raddr) and s.raddr.port in self._ports for s in sockets)
        )

    async def _call(self, name: str) -> None:
        method = getattr(self._manager, name, None)
        if method is None:
            return
        if inspect.iscoroutinefunction(method):
            await method()
        else:
            # On a thread: one that blocks holds up neither the call nor the deadline of the others.
            await asyncio.to_thread(method)


@asynccontextmanager
async def managed(name: str, manager: ManagerT, *, ports: Collection[int]) -> AsyncIterator[ManagerT]:
    """Open a manager in a job or worker lifespan, and yield it.

    Its pool stays what the manager makes it: state it in the stack config, `datastores: {<name>: {pool: N}}`.

    Args:
        name: labels its metrics and its row in the budget.
        manager: `configure()` and `setup()` are called before the `yield`, `close_connection()` after it. Those that
            are not coroutine functions run on a thread; what needs the event loop must be one.
        ports: of its server, by which its connections are counted.

    Raises:
        LifespanError: the manager has no `close_connection()`; or see `agent.runtime.datastores.base.opened`.
        DatastoreUnavailable: it could not be opened; the message names it.
    """
    if not callable(getattr(manager, "close_connection", None)):
        raise LifespanError(
            f"{name}: {type(manager).__name__} has no close_connection(), so nothing would close what it opens"
        )
    async with opened(Managed(name, manager, ports)):
        yield manager
