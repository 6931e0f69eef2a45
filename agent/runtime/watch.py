"""Watches rooms for agents that died in their call, and places each again, once: python -m agent.runtime.watch.

LiveKit sends nobody another agent when a worker dies (livekit/agents#1472): the caller hears silence. It shows in the
room: some 20 s after a death LiveKit removes the agent, while its dispatch and its caller stay (takeover.py).

Two watchers place one agent: who deletes the dispatch of the dead job, which LiveKit grants to one of them, places the
next. One that is killed between the two requests has taken the call with it.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from collections.abc import Mapping, Sequence

import aiohttp
from livekit import api
from livekit.protocol.agent import JobStatus, JobType
from pydantic import Field

from agent.runtime.dispatch import Placed, place_call
from agent.runtime.errors import AgentRuntimeError, SettingsError
from agent.runtime.placing import CALL_ATTRIBUTE, TAKEOVER_ATTRIBUTE
from agent.runtime.settings import Environment, Seconds

logger = logging.getLogger("agent.runtime")

EVERY_SECONDS = 1.0
# An agent that reconnects in full is out of the room for a moment; so is everybody after a restart of livekit-server.
CONFIRM_SECONDS = 3.0
# A job that was never seen in its room: the longest start of an agent.
STARTING_SECONDS = 30.0
ROOMS_AT_ONCE = 8
CALLERS = frozenset({api.ParticipantInfo.STANDARD, api.ParticipantInfo.SIP, api.ParticipantInfo.CONNECTOR})
# A room and the id of a job in it.
Watched = tuple[str, str]
MAY_PASS = (aiohttp.ClientError, TimeoutError, api.ServerError)


class WatchSettings(Environment):
    """Of the watcher as a program of its own; LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET beside."""

    agent_name: str = Field("assistant", alias="AGENT_NAME")
    wait_seconds: Seconds = Field(
        60, alias="AGENT_TAKEOVER_WAIT_SECONDS", description="how long a free slot is asked for"
    )


class Watcher:
    """Watches the calls of the agent `agent_name`.

    Args:
        lkapi: its key must be good for every room: `roomList` and `roomAdmin`. LiveKit's keys are not narrower: who
            holds one can join, end and record every room of the project.
        wait_seconds: how long a free slot is asked for where every worker is full.
    """

    def __init__(self, lkapi: api.LiveKitAPI, agent_name: str, *, wait_seconds: float = 60.0) -> None:
        self._lkapi = lkapi
        self._name = agent_name
        self._wait_seconds = wait_seconds
        self._missing: dict[Watched, float] = {}
        """When each was first missed; in seconds of the monotonic clock."""
        self._seen: set[Watched] = set()
        self._given_up: set[Watched] = set()
        self._taking: set[asyncio.Task[None]] = set()
        self.placed: list[Placed] = []

    async def run(self, stop: asyncio.Event) -> None:
        """Look at every room about once a second (two requests a room) until `stop`; then end what was begun."""
        while not stop.is_set():
            began = time.monotonic()
            try:
                rooms = (await self._lkapi.room.list_rooms(api.ListRoomsRequest())).rooms
                await self.look([room.name for room in rooms])
            except MAY_PASS as error:
                logger.warning("LiveKit does not answer, looking again: %s: %s", type(error).__name__, error)
            rest = max(0.0, EVERY_SECONDS - (time.monotonic() - began))
            try:
                await asyncio.wait_for(stop.wait(), rest)
            except TimeoutError:
                continue
        if self._taking:
            await asyncio.wait(self._taking)

    async def look(self, rooms: Sequence[str]) -> None:
        """Look at these rooms, all there are, once; one that has closed meanwhile, say, holds up no other.

        Raises:
            aiohttp.ClientError, TimeoutError, api.ServerError: LiveKit answered about none of them.
        """
        gate = asyncio.Semaphore(ROOMS_AT_ONCE)
        failed: dict[str, Exception] = {}

        async def one(room: str) -> set[Watched]:
            async with gate:
                try:
                    return await self._look_at(room)
                except MAY_PASS as error:
                    failed[room] = error
                    known = {*self._missing, *self._seen, *self._given_up}
                    return {watched for watched in known if watched[0] == room}

        jobs = set().union(*await asyncio.gather(*(one(room) for room in rooms)))
        if failed and len(failed) == len(rooms):
            raise next(iter(failed.values()))
        self._missing = {job: since for job, since in self._missing.items() if job in jobs}
        self._seen &= jobs
        self._given_up &= jobs

    async def _look_at(self, room: str) -> set[Watched]:
        """The jobs in this room; those that died are taken over."""
        # In this order: a job that ends on purpose deletes its dispatch before it leaves the room.
        there = (
            await self._lkapi.room.list_participants(api.ListParticipantsRequest(room=room))
        ).participants
        identities = {participant.identity for participant in there}
        called = any(participant.kind in CALLERS for participant in there)
        jobs = set()
        for dispatch in await self._lkapi.agent_dispatch.list_dispatch(room) if there else []:
            for job in dispatch.state.jobs:
                if dispatch.agent_name == self._name and job.type == JobType.JT_ROOM:
                    watched = (room, job.id)
                    jobs.add(watched)
                    there_now = job.state.participant_identity in identities
                    if self._died(watched, job.state.status, there_now, called):
                        self._take(room, dispatch, job.id)
        return jobs

    def _died(self, job: Watched, status: int, there: bool, called: bool) -> bool:
        if there:
            self._seen.add(job)
            self._missing.pop(job, None)
            return False
        if not called or status != JobStatus.JS_RUNNING or job in self._given_up:
            self._missing.pop(job, None)
            return False
        bears = CONFIRM_SECONDS if job in self._seen else STARTING_SECONDS
        now = time.monotonic()
        return now - self._missing.setdefault(job, now) >= bears

    def _take(self, room: str, dispatch: api.AgentDispatch, job: str) -> None:
        self._given_up.add((room, job))
        if dead := dispatch.attributes.get(TAKEOVER_ATTRIBUTE):
            logger.error(
                "room %s: job %s died, which had taken over from %s: no third one is placed", room, job, dead
            )
            return
        task = asyncio.create_task(self._take_over(room, dispatch, job), name=f"takeover of {job}")
        self._taking.add(task)
        task.add_done_callback(self._taking.discard)

    async def _take_over(self, room: str, dispatch: api.AgentDispatch, job: str) -> None:
        try:
            await self._lkapi.agent_dispatch.delete_dispatch(dispatch.id, room)
        except MAY_PASS as error:
            if not isinstance(error, api.ServerError) or error.code != api.ServerErrorCode.NOT_FOUND:
                logger.warning("room %s: job %s died, and LiveKit does not answer: %s", room, job, error)
                self._given_up.discard((room, job))  # looked at again
            return  # not found: another watcher has it
        logger.warning("room %s: job %s died with its caller there: placing the agent again", room, job)
        attributes = {k: v for k, v in dispatch.attributes.items() if k != CALL_ATTRIBUTE}
        try:
            placed = await place_call(
                self._lkapi,
                agent_name=dispatch.agent_name,
                room=room,
                metadata=dispatch.metadata,
                deployment=dispatch.deployment,
                attributes={**attributes, TAKEOVER_ATTRIBUTE: job},
                wait_seconds=self._wait_seconds,
            )
        except (AgentRuntimeError, api.ServerError) as error:
            logger.error("room %s: nobody took over from job %s: %s", room, job, error)
        else:
            logger.warning("room %s: taken over from job %s after %.1f s", room, job, placed.waited_seconds)
            self.placed.append(placed)


async def keep_agent(
    lkapi: api.LiveKitAPI, placed: Placed, *, agent_name: str, wait_seconds: float = 60.0
) -> int:
    """For a backend that watches its own call: until its room is closed; how often the agent was placed again."""
    watcher = Watcher(lkapi, agent_name, wait_seconds=wait_seconds)
    while True:
        try:
            if not (await lkapi.room.list_rooms(api.ListRoomsRequest(names=[placed.room]))).rooms:
                return len(watcher.placed)
            await watcher.look([placed.room])
        except MAY_PASS as error:
            logger.warning("LiveKit does not answer, looking again: %s: %s", type(error).__name__, error)
        await asyncio.sleep(EVERY_SECONDS)


async def watch(environ: Mapping[str, str] | None = None) -> None:
    """Watch until SIGTERM or SIGINT; a takeover that was begun is finished.

    Raises:
        SettingsError: a variable is missing or unusable.
    """
    settings = WatchSettings.from_environment(environ)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        lkapi = api.LiveKitAPI()
    except ValueError as error:
        raise SettingsError(
            f"environment: LIVEKIT_URL, LIVEKIT_API_KEY, LIVEKIT_API_SECRET: {error}"
        ) from None
    async with lkapi:
        logger.info("watching the calls of %r", settings.agent_name)
        await Watcher(lkapi, settings.agent_name, wait_seconds=settings.wait_seconds).run(stop)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        asyncio.run(watch())
    except SettingsError as error:
        sys.exit(str(error))
