"""Callers outside the cluster: real rtc clients on this machine that reach livekit-server by its node's own address."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from livekit import api

from infra.local.caller import Caller, CallResult, Outcome
from infra.local.conversation import Line
from infra.local.eventually import eventually

PICKED_UP_SECONDS = 120


class Load:
    """Calls that are held until they are told to end."""

    def __init__(self, line: Line, livekit: api.LiveKitAPI) -> None:
        self._line, self._livekit = line, livekit
        self._end = asyncio.Event()
        self.callers: list[Caller] = []
        self.tasks: list[asyncio.Task[CallResult]] = []

    async def hold(self, number: int) -> list[Caller]:
        """Place so many more; returns when each talks or was refused. A lost one fails here, its worker still there."""
        new, placed = [], []
        for _ in range(number):
            caller = Caller(self._line, f"held-{time.time_ns():x}", [], pause_seconds=2)
            caller.stays_until = self._end
            new.append(caller)
            placed.append(asyncio.create_task(caller.call(self._livekit)))
        self.callers += new
        self.tasks += placed
        await eventually(
            lambda: all(one.talking or one.released.is_set() for one in new),
            within=PICKED_UP_SECONDS,
            what="every call is answered",
        )
        lost = [
            result for task in placed if task.done() and (result := task.result()).outcome is Outcome.LOST
        ]
        assert not lost, lost
        return new

    @property
    def talking(self) -> int:
        return sum(one.talking for one in self.callers)

    async def end(self) -> list[CallResult]:
        """Everybody hangs up."""
        self._end.set()
        return list(await asyncio.gather(*self.tasks))


@asynccontextmanager
async def load(line: Line) -> AsyncIterator[Load]:
    """Calls of one scenario; those that are left are hung up."""
    async with line.api() as livekit:
        one = Load(line, livekit)
        try:
            yield one
        finally:
            await one.end()


def dropped(results: list[CallResult]) -> list[CallResult]:
    return [one for one in results if one.outcome is not Outcome.ANSWERED]
