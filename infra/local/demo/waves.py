"""Callers in waves, more at once than there are slots: the surplus has to wait or is told that all lines are busy."""

from __future__ import annotations

import asyncio
from collections import Counter
from types import TracebackType
from typing import Self

from livekit import api

from infra.local.caller import Caller, CallResult, Outcome
from infra.local.conversation import Line

# In the first a job is killed and a worker's replacement started, in the second the old worker is drained.
WAVES = 2
SENTENCES = ("Hello, can you hear me?", "I would like to change my order.", "Thank you, that is all.")
# Between hearing and speaking. Long enough that the calls of a wave overlap on a machine that starts jobs one by one.
PAUSE_SECONDS = 1.0


class Calls:
    """All calls of a demo: those that are on the line now, and what became of the others.

    Leaving the `async with` waits for calls that a wave did not wait for.
    """

    def __init__(self, line: Line, livekit: api.LiveKitAPI) -> None:
        self.callers: list[Caller] = []
        """On the line now, talking or waiting for a slot."""
        self.results: list[CallResult] = []
        self._line, self._livekit = line, livekit
        self._latest: list[Caller] = []
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.__aexit__(kind, error, trace)

    async def wave(self, number: int, size: int) -> None:
        """All of them call at once; returns when each has hung up, was refused, or is the victim."""
        callers = [self._caller(f"wave-{number}-call-{call}") for call in range(1, size + 1)]
        self._latest = callers
        for caller in callers:
            self._tasks.create_task(self._call(caller))
        for caller in callers:
            await caller.released.wait()

    def _caller(self, room: str, *, again: bool = False) -> Caller:
        return Caller(self._line, room, SENTENCES, pause_seconds=PAUSE_SECONDS, again=again)

    async def _call(self, caller: Caller) -> None:
        result = await self._one(caller)
        if result.outcome is Outcome.KILLED:
            # What a person would do.
            await self._one(self._caller(f"{caller.room}-again", again=True))

    async def _one(self, caller: Caller) -> CallResult:
        self.callers.append(caller)
        try:
            result = await caller.call(self._livekit)
        finally:
            self.callers.remove(caller)
        self.results.append(result)
        return result

    @property
    def talking(self) -> list[Caller]:
        return [caller for caller in self.callers if caller.talking]

    @property
    def talking_in_latest_wave(self) -> list[Caller]:
        return [caller for caller in self._latest if caller.talking]

    def tally(self) -> str:
        """One line for people: how it stands."""
        ended = Counter(result.outcome for result in self.results)
        parts = [f"{len(self.talking)} talking", f"{len(self.callers) - len(self.talking)} waiting"]
        return ", ".join([*parts, *(f"{ended[outcome]} {outcome}" for outcome in Outcome if ended[outcome])])


def wave_sizes(calls: int) -> tuple[int, int]:
    """Calls of each wave, as even as whole calls allow."""
    return calls - calls // WAVES, calls // WAVES
