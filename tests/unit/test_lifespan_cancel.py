"""A cancel at any await point of opening and of closing leaves nothing open, and does not keep the others open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from agent.runtime.datastores.base import Connections, opened
from agent.runtime.errors import CancelledFromWithin
from agent.runtime.lifespan import LifespanOwner
from agent.runtime.scope import Scope

SECOND = 5.0  # longer than anything here takes
AWAITS = 4  # of each open and of each close
NAMES = ("a", "b", "c")


class Injector:
    """Counts the await points as they are passed; `struck` is set at the one that is asked for."""

    def __init__(self, at: int) -> None:
        self.passed = 0
        self.struck = asyncio.Event()
        self._at = at

    async def point(self) -> None:
        if self.passed == self._at:
            self.struck.set()
        self.passed += 1
        await asyncio.sleep(0)


class Stepping:
    """A datastore whose open and close have `AWAITS` await points each, and a socket from the open's first on."""

    def __init__(self, name: str, sockets: list[str], injector: Injector, *, phase: str) -> None:
        self.name = name
        self._sockets = sockets
        self._injector = injector
        self._phase = phase

    async def _step(self, phase: str) -> None:
        for _ in range(AWAITS):
            if phase == self._phase:
                await self._injector.point()
            else:
                await asyncio.sleep(0)

    async def open(self) -> None:
        self._sockets.append(self.name)
        await self._step("open")

    async def close(self) -> None:
        try:
            await self._step("close")
        finally:
            self._sockets.remove(self.name)

    def connections(self) -> Connections:
        return Connections(idle=int(self.name in self._sockets))


def stores(sockets: list[str], injector: Injector, phase: str, closed: list[str]) -> LifespanOwner[None]:
    class Noted(Stepping):
        async def close(self) -> None:
            closed.append(self.name)
            await super().close()

    @asynccontextmanager
    async def manager() -> AsyncIterator[None]:
        async with (
            opened(Noted("a", sockets, injector, phase=phase)),
            opened(Noted("b", sockets, injector, phase=phase)),
            opened(Noted("c", sockets, injector, phase=phase)),
        ):
            yield

    return LifespanOwner(manager, Scope("job", SECOND), lambda: None)


EVERY_POINT = range(AWAITS * len(NAMES))


@pytest.mark.parametrize("inside", [False, True], ids=["whoever opens", "the lifespan itself"])
@pytest.mark.parametrize("at", EVERY_POINT)
async def test_a_cancel_at_every_await_of_open_closes_what_was_open(at: int, inside: bool) -> None:
    sockets: list[str] = []
    closed: list[str] = []
    injector = Injector(at)
    owner = stores(sockets, injector, "open", closed)
    opening = asyncio.create_task(owner.open(SECOND))
    await injector.struck.wait()
    victim = owner._task if inside else opening
    assert victim is not None
    victim.cancel()
    # Nobody outside asked the lifespan to end: LiveKit must not take that for a good end.
    with pytest.raises(CancelledFromWithin if inside else asyncio.CancelledError):
        await opening
    assert await owner.close()
    assert sockets == []
    # The owner hears of its opener's cancel a step later, and may have begun the next one by then.
    assert len(closed) in {at // AWAITS + 1, (at + 1) // AWAITS + 1}
    assert closed == list(reversed(NAMES[: len(closed)])), "each that was begun, once, in reverse order"


@pytest.mark.parametrize("inside", [False, True], ids=["whoever closes", "the lifespan itself"])
@pytest.mark.parametrize("at", EVERY_POINT)
async def test_a_cancel_at_every_await_of_close_closes_the_others_all_the_same(
    at: int,
    inside: bool,
) -> None:
    sockets: list[str] = []
    closed: list[str] = []
    injector = Injector(at)
    owner = stores(sockets, injector, "close", closed)
    await owner.open(SECOND)
    closing = asyncio.create_task(owner.close())
    await injector.struck.wait()
    victim = owner._task if inside else closing
    assert victim is not None
    victim.cancel()
    await asyncio.wait({closing}, timeout=SECOND)
    # Whoever was cancelled while closing gave up waiting; the owner goes on, and a second close waits for it.
    assert await owner.close()
    await asyncio.wait({victim}, timeout=SECOND)
    pending = asyncio.all_tasks() - {asyncio.current_task()}
    if pending:
        await asyncio.wait(pending, timeout=SECOND)
    assert sockets == []
    assert closed == ["c", "b", "a"]
