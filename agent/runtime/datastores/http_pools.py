"""Bounded HTTP connections for clients that use aiohttp: a pool to each node, which waits instead of growing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

from agent.runtime import metrics
from agent.runtime.datastores.base import Connections, Home

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

CONNECT_SECONDS = 3.0
# Below the 60 s after which load balancers usually drop a silent connection without a word.
IDLE_SECONDS = 50.0


class BoundedConnector(TCPConnector):
    """The pool to one node: at most `limit` connections, and a wait for one that ends."""

    def __init__(self, name: str, wait_seconds: float, **options: Any) -> None:
        super().__init__(**options)
        self._name = name
        self._wait_seconds = wait_seconds

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: ClientTimeout,
    ) -> Connection:
        started = time.perf_counter()
        # aiohttp's `connect` limits the wait for the pool, too; clients set `total` alone.
        bounded = ClientTimeout(
            total=timeout.total,
            connect=self._wait_seconds,
            sock_connect=CONNECT_SECONDS,
            sock_read=timeout.sock_read,
        )
        connection = await super().connect(req, traces, bounded)
        metrics.CHECKOUT_SECONDS.labels(self._name).observe(time.perf_counter() - started)
        return connection

    def connections(self) -> Connections:
        """Sockets that both ends hold; aiohttp itself counts places in the pool, taken or not yet."""
        # Private, for want of a public count; an acquired place is no socket before it is connected.
        return Connections(
            in_use=sum(bool(protocol.is_connected()) for protocol in self._acquired),
            idle=sum(bool(protocol.is_connected()) for pool in self._conns.values() for protocol, _ in pool),
        )


class HttpPools:
    """The pools of one client, a node each, all of one lifespan."""

    def __init__(self, name: str, pool: int, wait_seconds: float) -> None:
        self.home = Home(name)
        self._name = name
        self._pool = pool
        self._wait_seconds = wait_seconds
        self._connectors: list[BoundedConnector] = []
        self._sessions: list[ClientSession] = []

    def session(self, **options: Any) -> ClientSession:
        """A session with a pool of its own."""
        self.home.check()
        ssl = options.pop("ssl", True)
        connector = BoundedConnector(
            self._name, self._wait_seconds, limit=self._pool, keepalive_timeout=IDLE_SECONDS, ssl=ssl
        )
        self._connectors.append(connector)
        session = ClientSession(connector=connector, cookie_jar=DummyCookieJar(), **options)
        self._sessions.append(session)
        return session

    async def close(self) -> None:
        """Also sessions of nodes that have just failed, which opensearch-py passes over when it closes (measured)."""
        self.home.close()
        for session in self._sessions:
            await session.close()

    def connections(self) -> Connections:
        counts = [connector.connections() for connector in self._connectors]
        return Connections(in_use=sum(c.in_use for c in counts), idle=sum(c.idle for c in counts))
