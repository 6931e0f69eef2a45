"""Real drivers and servers: a cancel at each of their await points, as they open and as they close, leaks nothing.

`tests/unit/test_lifespan_cancel.py` does the same with datastores that count their closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Coroutine, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType, coroutine
from typing import Any, Literal

import psutil
import pytest

from agent.models import DOCUMENTS
from agent.runtime.datastores.mongodb import mongodb
from agent.runtime.datastores.redis import redis
from agent.runtime.errors import CancelledFromWithin
from agent.runtime.lifespan import LifespanOwner
from agent.runtime.scope import Scope
from infra.local.eventually import eventually
from infra.local.run import Run
from infra.local.servers import mongodb as mongodb_server
from infra.local.servers import redis as redis_server

pytestmark = pytest.mark.integration

Phase = Literal["open", "close"]
# Opening takes about 20 awaits that suspend; a driver with more than these would make this test endless.
MOST_POINTS = 200


@pytest.fixture
async def ports(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[set[int]]:
    async with Run("test-cancel") as run:
        mongo = await mongodb_server.start(run, 100)
        valkey = await redis_server.start(run, 32)
        monkeypatch.setenv("MONGODB_URL", mongo.url)
        monkeypatch.setenv("REDIS_URL", valkey.url)
        yield {mongo.port, valkey.port}


class CancelledAt(AbstractAsyncContextManager[Any]):
    """A context manager that cancels its own task where it suspends for the `point`th time in that phase."""

    def __init__(self, inner: AbstractAsyncContextManager[Any], phase: Phase, point: int) -> None:
        self.points = 0
        self._inner, self._phase, self._point = inner, phase, point

    async def __aenter__(self) -> Any:
        entering = self._inner.__aenter__()
        return await (self._counted(entering) if self._phase == "open" else entering)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Any:
        leaving = self._inner.__aexit__(kind, error, trace)
        return await (self._counted(leaving) if self._phase == "close" else leaving)

    @coroutine
    def _counted(self, work: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
        step, argument = work.send, None
        while True:
            try:
                awaited = step(argument)
            except StopIteration as done:
                return done.value
            if self.points == self._point:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            self.points += 1
            try:
                step, argument = work.send, (yield awaited)
            except BaseException as error:
                step, argument = work.throw, error


@asynccontextmanager
async def lifespan() -> AsyncIterator[None]:
    async with mongodb(DOCUMENTS) as database, redis() as cache:
        await database["points"].insert_one({})
        await cache.ping()
        yield


def sockets(ports: set[int]) -> int:
    """Of this process, to the servers."""
    held = psutil.Process(os.getpid()).net_connections(kind="tcp")
    return sum(bool(each.raddr) and each.raddr.port in ports for each in held)


# A driver that is cancelled while it connects drops its socket without closing it; it is gone with the object, at once.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("phase", ["open", "close"])
async def test_no_cancel_leaves_a_socket_open(ports: set[int], phase: Phase) -> None:
    for point in range(MOST_POINTS):
        manager = CancelledAt(lifespan(), phase, point)
        owner: LifespanOwner[None] = LifespanOwner(lambda m=manager: m, Scope("job", 5.0), lambda: None)  # type: ignore[misc]
        with contextlib.suppress(CancelledFromWithin):
            await owner.open(10.0)
        assert await owner.close()
        await eventually(lambda: sockets(ports) == 0, within=5, what=f"no socket after a cancel at {point}")
        if manager.points <= point:
            assert point > 1, "it never suspended"
            return
    raise AssertionError(f"more than {MOST_POINTS} await points")
