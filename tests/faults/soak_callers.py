"""The soak's callers, beside jobs that nobody calls: each reloads his page, or loses signalling, and is heard again."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from random import Random
from typing import Self

from livekit import api, rtc

from agent.runtime.dispatch import Busy, LiveKitUnreachable, place_call
from infra.local.ports import LOOPBACK
from infra.local.rooms import new_room
from infra.local.stack import AGENT_NAME, Stack
from tests.faults.patience import eventually
from tests.faults.proxy import Mode, Proxy
from tests.faults.soak_job import Asked
from tests.faults.soak_load import Load

AT_ONCE = 2
IDENTITY = "caller"
LOST_SECONDS = 0.3
# LiveKit's own clients try a connection anew for longer.
HEARD_SECONDS = 40.0


class Event(StrEnum):
    """What happens to a caller in mid-call."""

    RELOAD = "a reload"
    SIGNALLING_LOST = "0.3 s without signalling"


@dataclass
class Calls:
    """What became of calls so far."""

    went_on: Counter[str] = field(default_factory=Counter)
    """Event → calls whose caller was heard after it, by the same job."""
    ended: list[str] = field(default_factory=list)
    """Those that did not go on although nobody had killed their job, each in a few words."""
    never_heard: int = 0
    """No slot was free, or the job was killed before its caller was heard: nothing could be seen of an event."""


class Voice:
    """A caller in his room."""

    def __init__(self) -> None:
        self.room = new_room()
        self._heard: dict[str, int] = {}
        self._numbers = count()
        self.room.on("data_received", self._note)

    async def join(self, url: str, token: str) -> Self:
        await self.room.connect(url, token)
        return self

    async def answered_by(self) -> int | None:
        """The pid of the job that repeats what is said from now on; None: nobody does."""
        said = f"hello {next(self._numbers)}"

        async def repeated() -> bool:
            with contextlib.suppress(Exception):  # while it reconnects; asked again
                await self.room.local_participant.publish_data(said.encode())
            return said in self._heard

        with contextlib.suppress(TimeoutError):
            await eventually(repeated, within=HEARD_SECONDS, what="an answer", every=0.2)
        return self._heard.get(said)

    def _note(self, packet: rtc.DataPacket) -> None:
        pid, _, said = packet.data.decode().partition(" ")
        self._heard[said] = int(pid)


class Callers:
    """`AT_ONCE` callers, one call after another, while `calling`."""

    def __init__(self, stack: Stack, load: Load, livekit: api.LiveKitAPI, random: Random) -> None:
        self.calls = Calls()
        self._stack, self._load, self._livekit, self._random = stack, load, livekit, random

    @asynccontextmanager
    async def calling(self) -> AsyncIterator[None]:
        """Leaves when the last call has been hung up."""
        over = asyncio.Event()

        async def one_after_another() -> None:
            while not over.is_set():
                await self._call(self._random.choice(list(Event)))

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(one_after_another())
            try:
                yield
            finally:
                over.set()

    async def _call(self, event: Event) -> None:
        asked = Asked(number=self._load.placed, stay_seconds=0, fail=False, caller=True)
        room = f"soak-{asked.number}"
        if not await self._placed(room, asked):
            self.calls.never_heard += 1
            return
        async with Proxy(self._stack.livekit.port) as proxy:
            url = f"ws://{LOOPBACK}:{proxy.port}"
            token = self._stack.line.token(room, IDENTITY)
            try:
                voice = await Voice().join(url, token)
            except rtc.ConnectError:
                self.calls.never_heard += 1
                return
            pid = None
            try:
                pid = await voice.answered_by()
                if pid is None or pid in self._load.killed:
                    self.calls.never_heard += 1
                    return
                self._load.spared.add(pid)
                voice = await _happens(event, voice, proxy, url, token)
                again = await voice.answered_by()
                if again == pid:
                    self.calls.went_on[event] += 1
                elif pid not in self._load.killed:
                    who = "nobody" if again is None else f"job process {again}"
                    self.calls.ended.append(f"{room}, job process {pid}: after {event} {who} answered")
            except rtc.ConnectError as error:
                self.calls.ended.append(f"{room}, job process {pid}: {event} did not come to be: {error}")
            finally:
                await voice.room.disconnect()
                self._load.spared -= {pid}

    async def _placed(self, room: str, asked: Asked) -> bool:
        self._load.placed += 1
        self._load.asking += 1
        try:
            await place_call(
                self._livekit, agent_name=AGENT_NAME, room=room, metadata=asked.model_dump_json()
            )
        except (Busy, LiveKitUnreachable):
            return False
        finally:
            self._load.asking -= 1
        return True


async def _happens(event: Event, voice: Voice, proxy: Proxy, url: str, token: str) -> Voice:
    """The event, until the caller's client is connected anew; the caller then."""
    if event is Event.RELOAD:
        reloaded = await Voice().join(url, token)
        await voice.room.disconnect()
        return reloaded
    connected = len(proxy.accepted)
    await proxy.set(Mode.REFUSE)
    await asyncio.sleep(LOST_SECONDS)  # the event's own length
    await proxy.set(Mode.PASS)
    with contextlib.suppress(TimeoutError):  # then nobody will be heard, which is told
        await eventually(
            lambda: len(proxy.accepted) > connected, within=HEARD_SECONDS, what="signalling anew"
        )
    return voice
