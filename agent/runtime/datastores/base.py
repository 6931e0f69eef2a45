"""The one way in which all datastores are opened, counted and closed."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

from agent.runtime import metrics, tracing
from agent.runtime.errors import (
    CLIENTS_DO_NOT_TRAVEL,
    IN_THE_LIFESPAN,
    AgentRuntimeError,
    DatastoreUnavailable,
    LifespanError,
)
from agent.runtime.protocol import Connections, Datastore
from agent.runtime.scope import Scope

logger = logging.getLogger("agent.runtime")

__all__ = ["Connections", "Datastore", "Home", "opened", "publish", "within_share"]


DatastoreT = TypeVar("DatastoreT", bound=Datastore)


class PoolSettings(Protocol):
    """The part of a datastore's settings that the budget has solved, in connections."""

    @property
    def pool(self) -> int: ...
    @property
    def worker_pool(self) -> int: ...


class Home:
    """The loop and process that a client belongs to, until it is closed; for clients that do not check."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._owner = (os.getpid(), asyncio.get_running_loop())
        self._closed = False

    def close(self) -> None:
        self._closed = True

    def check(self) -> None:
        """Raises LifespanError when the client is used elsewhere, or after its lifespan."""
        if self._closed:
            raise LifespanError(f"{self._name} is closed: its lifespan has been left. {IN_THE_LIFESPAN}")
        if self._owner != (os.getpid(), asyncio.get_running_loop()):
            raise LifespanError(
                f"{self._name} was used in another loop or process than its own. {CLIENTS_DO_NOT_TRAVEL}"
            )


@asynccontextmanager
async def within_share(
    name: str, settings: PoolSettings, make: Callable[[int], DatastoreT]
) -> AsyncIterator[DatastoreT]:
    """Make a datastore with the pool that the budget grants this lifespan, and keep it open: see `opened`."""
    pool = Scope.current(name).share(name, job=settings.pool, worker=settings.worker_pool)
    try:
        datastore = make(pool)
    except Exception:
        metrics.OPEN_FAILURES.labels(name).inc()
        raise
    async with opened(datastore):
        yield datastore


@asynccontextmanager
async def opened(datastore: DatastoreT) -> AsyncIterator[DatastoreT]:
    """Open `datastore` in the current lifespan and close it at its end, whatever happens between.

    A close has its share of `Scope.close_timeout`; one that raises or hangs is logged and counted, and does not keep
    the others from closing.

    Raises:
        LifespanError: this is not the place or the moment to open a datastore.
        DatastoreUnavailable: it could not be opened; the message names it.
    """
    scope = Scope.current(datastore.name)
    scope.datastores[datastore.name] = datastore
    started = time.perf_counter()
    try:
        await _open(datastore, scope, started)
        scope.opened.append(datastore.name)
        metrics.OPEN_SECONDS.labels(datastore.name).observe(time.perf_counter() - started)
        publish(datastore)
        yield datastore
    finally:
        await _close(datastore, scope)


def publish(datastore: Datastore) -> None:
    """Export how many connections `datastore` holds now."""
    count = datastore.connections()
    gauge = metrics.CONNECTIONS
    gauge.labels(datastore.name, "in_use").set(count.in_use)
    gauge.labels(datastore.name, "idle").set(count.idle)
    gauge.labels(datastore.name, "monitoring").set(count.monitoring)


async def _open(datastore: Datastore, scope: Scope, started: float) -> None:
    with tracing.datastore_span("open", datastore.name, scope.kind) as span:
        try:
            await datastore.open()
        except BaseException as error:
            tracing.failed(span, type(error).__name__)
            # Cancelled, it failed at nothing: another datastore did, or the caller hung up. Whose time was over, the
            # lifespan's owner counts.
            if isinstance(error, asyncio.CancelledError):
                raise
            metrics.OPEN_FAILURES.labels(datastore.name).inc()
            if isinstance(error, AgentRuntimeError) or not isinstance(error, Exception):
                raise
            raise DatastoreUnavailable(
                f"{datastore.name} could not be opened after {time.perf_counter() - started:.1f} s: "
                f"{type(error).__name__}: {error}"
            ) from error


async def _close(datastore: Datastore, scope: Scope) -> None:
    started = time.perf_counter()
    with tracing.datastore_span("close", datastore.name, scope.kind) as span:
        # A task of its own: a close that ignores its cancel must not hold up the ones after it.
        closing = asyncio.ensure_future(datastore.close())
        try:
            await _wait_out(closing, scope.close_share())
        finally:
            seconds = time.perf_counter() - started
            if problem := _problem(closing):
                metrics.CLOSE_FAILURES.labels(datastore.name).inc()
                tracing.failed(span, problem)
                logger.error("%s did not close in %.1f s: %s", datastore.name, seconds, problem)
            metrics.CLOSE_SECONDS.labels(datastore.name).observe(seconds)
            scope.datastores.pop(datastore.name, None)
            publish(datastore)


async def _wait_out(closing: asyncio.Future[None], seconds: float) -> None:
    """Wait for a close as long as it may take. A cancel comes through afterwards: it must not leave sockets open."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    cancelled: asyncio.CancelledError | None = None
    while not closing.done() and (left := deadline - loop.time()) > 0:
        try:
            await asyncio.wait({closing}, timeout=left)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


def _problem(closing: asyncio.Future[None]) -> str | None:
    if not closing.done():
        closing.cancel()
        return "its time is over"
    if closing.cancelled():
        return "it was cancelled"
    error = closing.exception()
    return f"{type(error).__name__}: {error}" if error else None
