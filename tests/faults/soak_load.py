"""The soak's load: keeps every slot taken by short real jobs, and kills a share of them at random moments."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from random import Random

import aiohttp
from livekit import api

from infra.local import slot_locks
from infra.local.eventually import eventually, together
from infra.local.gauges import Gauges
from infra.local.stack import AGENT_NAME, Stack
from infra.local.worker import Worker
from tests.faults.soak_job import STAY_SECONDS, Asked

TICK_SECONDS = 0.2
# A dispatch that no worker has accepted by then was refused by all (LiveKit keeps no queue); its place is given anew.
ANSWER_SECONDS = 4.0
# The moment of a kill is drawn from this long after the slot was taken: opening, work, stay and close take 1.5 to 5 s.
# A job that ended before its moment escapes, and another one is chosen instead.
LIFE_SECONDS = STAY_SECONDS[1] + 0.5
# Without a job accepted for this long the load gives up: what is wrong shows in the accounts.
STALLED_SECONDS = 60.0


@dataclass(frozen=True)
class Totals:
    """Counters of all workers together, since their start."""

    accepted: int
    rejected: int
    completed: int
    failed: int
    killed: int

    @property
    def ended(self) -> int:
        return self.completed + self.failed + self.killed

    @staticmethod
    def of(gauges: list[Gauges]) -> Totals:
        def outcome(name: str) -> int:
            return sum(each.outcomes.get(name, 0) for each in gauges)

        return Totals(
            accepted=sum(each.requests.get("accepted", 0) for each in gauges),
            rejected=sum(each.requests.get("rejected", 0) for each in gauges),
            completed=outcome("completed"),
            failed=outcome("failed"),
            killed=outcome("killed"),
        )


class Load:
    """Places jobs and kills some; `placed`, `asked_to_fail` and `kills` are counted since the start."""

    def __init__(
        self,
        stack: Stack,
        session: aiohttp.ClientSession,
        livekit: api.LiveKitAPI,
        *,
        kill_share: float,
        random: Random,
    ) -> None:
        self.placed = self.asked_to_fail = self.kills = self.unanswered_scrapes = 0
        self._stack, self._session, self._livekit = stack, session, livekit
        self._kill_share, self._random = kill_share, random
        self._slots = stack.solution.fleet.slots * len(stack.workers)
        self.asking = 0
        """Callers for whom a slot is to be left free."""
        self.spared: set[int] = set()
        """Jobs that have a caller, and are not to be killed."""
        self.killed: set[int] = set()
        self._waiting: deque[float] = deque()
        self._owners: set[int] = set()
        self._seen = self._planned = 0

    async def gauges(self) -> dict[str, Gauges]:
        """Worker → its gauges now; a worker that does not answer is left out."""
        workers = list(self._stack.workers.values())
        answers = await together(worker.gauges(self._session) for worker in workers)
        return {
            worker.name: gauges for worker, gauges in zip(workers, answers, strict=True) if gauges is not None
        }

    async def totals(self) -> Totals | None:
        """None while a worker does not answer its scrape in time."""
        gauges = await self.gauges()
        if len(gauges) < len(self._stack.workers):
            self.unanswered_scrapes += 1
            return None
        return Totals.of(list(gauges.values()))

    async def batch(self, until: int, *, deadline: float, tell: Callable[[Totals], None]) -> int:
        """Keep the slots taken until `until` jobs were accepted since the start, or `deadline` (time.monotonic()).

        Args:
            tell: is given the totals at every look.

        Returns:
            How many were accepted since the start.
        """
        accepted, progressed = 0, time.monotonic()

        async def done() -> bool:
            nonlocal accepted, progressed
            self._choose_victims()
            totals = await self.totals()
            if totals is None:
                return False
            tell(totals)
            if totals.accepted > accepted:
                self._answered(totals.accepted - accepted)
                accepted, progressed = totals.accepted, time.monotonic()
            if accepted >= until or time.monotonic() - progressed > STALLED_SECONDS:
                return True
            running = totals.accepted - totals.ended
            free = self._slots - running - len(self._waiting) - self.asking
            await self._place(min(free, until - accepted - len(self._waiting)))
            return False

        with suppress(TimeoutError):  # the soak's time is over
            within = deadline - time.monotonic()
            await eventually(done, within=within, what=f"{until} jobs", every=TICK_SECONDS)
        return accepted

    async def forget_rooms(self) -> None:
        """Delete the jobs' rooms, which nobody joined and LiveKit would keep for minutes."""
        self._waiting.clear()
        rooms = await self._livekit.room.list_rooms(api.ListRoomsRequest())
        for room in rooms.rooms:
            with suppress(api.ServerError):  # it went by itself
                await self._livekit.room.delete_room(api.DeleteRoomRequest(room=room.name))

    def _answered(self, number: int) -> None:
        for _ in range(min(number, len(self._waiting))):
            self._waiting.popleft()

    async def _place(self, number: int) -> None:
        now = time.monotonic()
        while self._waiting and now - self._waiting[0] > ANSWER_SECONDS:
            self._waiting.popleft()
        if number > 0:
            await together(self._dispatch() for _ in range(number))

    async def _dispatch(self) -> None:
        asked = Asked.drawn(self.placed, self._random)
        self.placed += 1
        self.asked_to_fail += asked.fail
        self._waiting.append(time.monotonic())
        await self._livekit.agent_dispatch.create_dispatch(
            api.CreateAgentDispatchRequest(
                agent_name=AGENT_NAME, room=f"soak-{asked.number}", metadata=asked.model_dump_json()
            )
        )

    def _choose_victims(self) -> None:
        """Look who took a slot since the last look; some of them are given a moment to die at."""
        now: set[int] = set()
        for worker in self._stack.workers.values():
            for slot, pid in slot_locks.owners(worker.slot_directory).items():
                now.add(pid)
                if pid not in self._owners:
                    self._consider(worker, slot, pid)
        self._owners = now

    def _consider(self, worker: Worker, slot: str, pid: int) -> None:
        self._seen += 1
        # A coin, so that the victims follow no pattern, and the account, so that the share comes out as asked.
        due = self.kills + self._planned < self._kill_share * self._seen
        if due and self._random.random() < 0.5:
            self._planned += 1
            delay = self._random.uniform(0, LIFE_SECONDS)
            asyncio.get_running_loop().call_later(delay, self._kill, worker, slot, pid)

    def _kill(self, worker: Worker, slot: str, pid: int) -> None:
        self._planned -= 1
        # Only the owner of a slot is a job of ours; a pid given anew to a stranger is not.
        if pid not in self.spared and slot_locks.owners(worker.slot_directory).get(slot) == pid:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.killed.add(pid)
                self.kills += 1
