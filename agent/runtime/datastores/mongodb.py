"""MongoDB by PyMongo's asynchronous client, with Beanie documents on top where models are given."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NoReturn

import pymongo
from beanie import Document
from pymongo import AsyncMongoClient, ReadPreference, monitoring
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from agent.runtime import metrics
from agent.runtime.datastores import mongodb_url
from agent.runtime.datastores.base import Connections, within_share
from agent.runtime.datastores.mongodb_documents import register, tell_version, warm_up
from agent.runtime.datastores.mongodb_moved import check_nothing_is_left_behind
from agent.runtime.datastores.sockets import has_peer
from agent.runtime.errors import CLIENTS_DO_NOT_TRAVEL, SettingsError
from agent.runtime.scope import Scope
from agent.runtime.settings import MongoDBSettings
from agent.runtime.warm_ups import before_a_call

NAME = "mongodb"
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

    def __init__(
        self,
        settings: MongoDBSettings,
        pool: int,
        models: Sequence[type[Document]],
        *,
        tz_aware: bool = True,
    ) -> None:
        self._settings = settings
        self._pool = _PoolCounter()
        self._monitoring = _MonitoringSockets()
        self._models = models
        self._closed = False
        # It connects at its first operation, in that operation's loop (FACTS.md section 2).
        arguments = mongodb_url.arguments(settings, pool, tz_aware=tz_aware)
        database = mongodb_url.database(settings)
        try:
            self.client = MongoClient(
                settings.url.get_secret_value(), event_listeners=[self._pool, self._monitoring], **arguments
            )
            self.database: AsyncDatabase[dict[str, Any]] = self.client[database]
        except (PyMongoError, ValueError, TypeError, OSError) as error:
            # A certificate that is none, options that exclude each other; the message may hold what it was given.
            raise SettingsError(
                f"environment: MONGODB_URL=(hidden): PyMongo refuses it ({type(error).__name__}); accepted: options "
                "that go together, certificates in PEM form, a database's name without / . $ and spaces"
            ) from None

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
        credentials = self.client.options.pool_options._credentials  # noqa: SLF001  # for want of a public way
        mongodb_url.check_source(self._settings, credentials and credentials.source)

    async def close(self) -> None:
        # The driver first tells the server that its sessions end, and would wait 10 s for one that hangs,
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
    models: Sequence[type[Document]] = (), *, tz_aware: bool = True, settings: MongoDBSettings | None = None
) -> AsyncIterator[AsyncDatabase[dict[str, Any]]]:
    """Open MongoDB in a job or worker lifespan and yield the database of `MONGODB_URL`'s path or `MONGODB_DATABASE`.

    Args:
        models: Beanie documents to register with this client.
        tz_aware: dates are read with their time zone, UTC. PyMongo's own default is False, which drops it: such a date
            compares with no `datetime.now(UTC)`, and is taken for local time where it is converted.
        settings: instead of the environment's.

    Raises:
        SettingsError: `MONGODB_URL` is missing, a variable is unusable, or one contradicts another.
        LifespanError, DatastoreUnavailable: see `agent.runtime.datastores.base.opened`.
    """
    settings = settings or MongoDBSettings.from_environment()
    scope = Scope.current(NAME)
    make = partial(MongoDB, settings, models=models, tz_aware=tz_aware)
    async with within_share(NAME, settings, make) as datastore:
        if scope.kind != "job" and mongodb_url.only_the_path_says_it(settings):
            await check_nothing_is_left_behind(datastore.database, models)
        yield datastore.database


@before_a_call
def _warm_up() -> None:
    # A client connects at its first operation, not before (FACTS.md section 2); building one loads the rest.
    warm_up(MongoDB(MongoDBSettings.from_environment(), 1, ()).database)
