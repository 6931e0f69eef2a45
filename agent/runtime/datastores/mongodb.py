"""MongoDB by PyMongo's asynchronous client, with Beanie documents on top where models are given."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import pymongo
from beanie import Document
from pymongo import AsyncMongoClient, ReadPreference, monitoring
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from agent.runtime import metrics
from agent.runtime.datastores.base import Connections, within_share
from agent.runtime.datastores.mongodb_documents import register, tell_version, warm_up
from agent.runtime.datastores.sockets import has_peer
from agent.runtime.errors import CLIENTS_DO_NOT_TRAVEL, SettingsError
from agent.runtime.prewarm import before_a_call
from agent.runtime.settings import MongoDBSettings

NAME = "mongodb"
# A dead peer is noticed within this many seconds even where packets vanish without a reset.
SOCKET_TIMEOUT_MS = 10_000
CONNECT_TIMEOUT_MS = 3_000
SERVER_SELECTION_TIMEOUT_MS = 5_000
IDLE_TIMEOUT_MS = 60_000
# How soon an idle client notices that its server died, and its gauge with it; PyMongo's default of 10 s is too late for
# gauges that are true within 5 s. A look is one small command.
HEARTBEAT_MS = 2_500
END_SESSIONS_SECONDS = 1.0


class MongoClient(AsyncMongoClient[dict[str, Any]]):
    """An `AsyncMongoClient` that says why it cannot be passed to a job process."""

    def __reduce__(self) -> NoReturn:
        raise TypeError(CLIENTS_DO_NOT_TRAVEL)


class _PoolCounter(monitoring.ConnectionPoolListener):
    """Counts pool sockets from the driver's events; monitoring sockets emit none (measured)."""

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()

    @property
    def open(self) -> int:
        return self.events["created"] - self.events["closed"]

    @property
    def in_use(self) -> int:
        return self.events["checked_out"] - self.events["checked_in"]

    def connection_created(self, _: monitoring.ConnectionCreatedEvent) -> None:
        self.events["created"] += 1

    def connection_closed(self, _: monitoring.ConnectionClosedEvent) -> None:
        self.events["closed"] += 1

    def connection_checked_out(self, event: monitoring.ConnectionCheckedOutEvent) -> None:
        self.events["checked_out"] += 1
        metrics.CHECKOUT_SECONDS.labels(NAME).observe(event.duration or 0.0)

    def connection_checked_in(self, _: monitoring.ConnectionCheckedInEvent) -> None:
        self.events["checked_in"] += 1

    def connection_ready(self, event: monitoring.ConnectionReadyEvent) -> None: ...
    def connection_check_out_started(self, event: monitoring.ConnectionCheckOutStartedEvent) -> None: ...
    def connection_check_out_failed(self, event: monitoring.ConnectionCheckOutFailedEvent) -> None: ...
    def pool_created(self, event: monitoring.PoolCreatedEvent) -> None: ...
    def pool_ready(self, event: monitoring.PoolReadyEvent) -> None: ...
    def pool_cleared(self, event: monitoring.PoolClearedEvent) -> None: ...
    def pool_closed(self, event: monitoring.PoolClosedEvent) -> None: ...


class _MonitoringSockets(monitoring.ServerHeartbeatListener):
    """Sockets beside the pool, per server that answers: 1 that polls, or 2 that stream and measure round trips.

    Counted in the kernel for FACTS.md section 2. A server that cannot stream is polled whatever was asked for.
    """

    def __init__(self) -> None:
        self._sockets: dict[tuple[str, int | None], int] = {}

    @property
    def open(self) -> int:
        return sum(self._sockets.values())

    def started(self, event: monitoring.ServerHeartbeatStartedEvent) -> None:
        if event.awaited:
            self._sockets[event.connection_id] = 2

    def succeeded(self, event: monitoring.ServerHeartbeatSucceededEvent) -> None:
        self._sockets.setdefault(event.connection_id, 1)

    def failed(self, event: monitoring.ServerHeartbeatFailedEvent) -> None:
        self._sockets.pop(event.connection_id, None)


class MongoDB:
    """A bounded client. `models` are registered with Beanie; indexes are neither read nor made here."""

    name = NAME

    def __init__(self, settings: MongoDBSettings, pool: int, models: Sequence[type[Document]]) -> None:
        self._pool = _PoolCounter()
        self._monitoring = _MonitoringSockets()
        self._models = models
        self._closed = False
        self.client = self._connect_later(settings, pool)
        self.database: AsyncDatabase[dict[str, Any]] = self.client[settings.database]

    def _connect_later(self, settings: MongoDBSettings, pool: int) -> MongoClient:
        """A client; it connects at its first operation, in that operation's loop (FACTS.md section 2)."""
        try:
            return self._client(settings, pool)
        except (PyMongoError, ValueError, TypeError) as error:
            raise SettingsError(f"environment: MONGODB_URL=(hidden): PyMongo refuses it: {error}") from None

    def _client(self, settings: MongoDBSettings, pool: int) -> MongoClient:
        return MongoClient(
            settings.url.get_secret_value(),
            maxPoolSize=pool,
            minPoolSize=0,
            waitQueueTimeoutMS=round(settings.wait_seconds * 1000),
            serverMonitoringMode=settings.monitoring,
            serverSelectionTimeoutMS=SERVER_SELECTION_TIMEOUT_MS,
            connectTimeoutMS=CONNECT_TIMEOUT_MS,
            socketTimeoutMS=SOCKET_TIMEOUT_MS,
            maxIdleTimeMS=IDLE_TIMEOUT_MS,
            heartbeatFrequencyMS=HEARTBEAT_MS,
            tz_aware=True,
            event_listeners=[self._pool, self._monitoring],
        )

    async def open(self) -> None:
        connecting = asyncio.ensure_future(self._connect())
        try:
            # While the first packets are under way; what Beanie does there is the CPU's work alone.
            await asyncio.sleep(0)
            if self._models:
                await register(self.database, self._models)
            await connecting
        finally:
            connecting.cancel()
            await asyncio.wait({connecting})
        tell_version(self.database, self._models)

    async def _connect(self) -> None:
        """Have one connection made and authenticated: the server's answer to that is the proof, no `ping` besides."""
        checkout = await self.client._conn_for_reads(ReadPreference.PRIMARY_PREFERRED, None, "open")  # noqa: SLF001  # what `command()` does before it sends
        async with checkout:
            pass

    async def close(self) -> None:
        # The driver first tells the server that its sessions end, and would wait SOCKET_TIMEOUT_MS for one that hangs,
        # longer than a close may take, with every socket still open (measured).
        with pymongo.timeout(END_SESSIONS_SECONDS):
            await self.client.close()
        self._closed = True

    def connections(self) -> Connections:
        if self._closed:
            return Connections()
        return Connections(
            in_use=self._pool.in_use,
            idle=self._pool.open - self._pool.in_use - self._dead(),
            monitoring=self._monitoring.open,
        )

    def _dead(self) -> int:
        """Pooled connections whose server has gone: PyMongo closes them at their next use or when it has seen the loss.

        Its monitor may not: an own connection that ended while idle is replaced without a word (measured).
        """
        # No event tells of them. Before the first connection there is no topology.
        servers = self.client._topology._servers.values() if self._pool.open else ()  # noqa: SLF001
        return sum(not has_peer(pooled.conn.sock) for server in servers for pooled in server.pool.conns)


@asynccontextmanager
async def mongodb(
    models: Sequence[type[Document]] = (), *, settings: MongoDBSettings | None = None
) -> AsyncIterator[AsyncDatabase[dict[str, Any]]]:
    """Open MongoDB in a job or worker lifespan and yield the database of `MONGODB_DATABASE`.

    Args:
        models: Beanie documents to register with this client.
        settings: instead of the environment's.

    Raises:
        SettingsError: `MONGODB_URL` is missing or a variable is unusable.
        LifespanError, DatastoreUnavailable: see `agent.runtime.datastores.base.opened`.
    """
    settings = settings or MongoDBSettings.from_environment()
    async with within_share(NAME, settings, lambda pool: MongoDB(settings, pool, models)) as datastore:
        yield datastore.database


@before_a_call
def _warm_up() -> None:
    # A client connects at its first operation, not before (FACTS.md section 2); building one loads the rest.
    warm_up(MongoDB(MongoDBSettings.from_environment(), 1, ()).database)
