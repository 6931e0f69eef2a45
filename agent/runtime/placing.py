"""The attempts of one `place_call`: what was asked of LiveKit, whether somebody came, and how it is withdrawn."""

from __future__ import annotations

import asyncio
import logging
import random
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from livekit import api

from agent.runtime.errors import AgentRuntimeError, Busy, LiveKitUnreachable

logger = logging.getLogger("agent.runtime")

POLL_SECONDS = 0.2
FIRST_PAUSE_SECONDS = 0.25
BACKOFF_CAP_SECONDS = 5.0
# livekit-server 1.13 notes an accepted job in the dispatch only after it has asked all nodes who serves the agent; once
# a minute, and after a worker registered, that takes its CheckEnabledTimeout of 5 s (pkg/agent/client.go; measured).
ANSWER_SECONDS = 6.0
# What withdrawing takes beyond the deadline, at most, where LiveKit does not answer; it is tried for longer beside.
WITHDRAW_SECONDS = 2.0
WITHDRAW_BESIDE_SECONDS = 30.0
# Of a job that a worker took and whose agent is not in the room yet; older ones have ended.
STARTING_SECONDS = 20.0
AGENT_NAME_ATTRIBUTE = "lk.agent.name"
# Of a dispatch: which `place_call` made it, so that one whose answer was lost is found and withdrawn.
CALL_ATTRIBUTE = "agent.runtime.call"
# Of a dispatch that a watcher made: the job that died (watch.py).
TAKEOVER_ATTRIBUTE = "agent.runtime.takeover_of"
PERMANENT = frozenset(
    {
        api.ServerErrorCode.INVALID_ARGUMENT,
        api.ServerErrorCode.MALFORMED,
        api.ServerErrorCode.BAD_ROUTE,
        api.ServerErrorCode.PERMISSION_DENIED,
        api.ServerErrorCode.UNAUTHENTICATED,
        api.ServerErrorCode.UNIMPLEMENTED,
    }
)

KEY_REFUSED = frozenset({401, 403})  # livekit-server's answer has no code


@dataclass(frozen=True)
class Placed:
    """A call that a worker took."""

    room: str
    dispatch_id: str
    attempts: int
    """0: the agent was in the room already, and none was asked for."""
    waited_seconds: float


@dataclass
class Placing:
    """One call that is being placed, and what it has asked for so far."""

    lkapi: api.LiveKitAPI
    agent_name: str
    room: str
    deployment: str
    metadata: str
    attributes: dict[str, str]
    answer_seconds: float
    started: float = field(default_factory=time.monotonic)
    attempts: int = 0
    placed: bool = False
    asked: bool = False
    error: Exception | None = None
    """What LiveKit answered last, if it was an error that may pass."""

    def __post_init__(self) -> None:
        self.id = uuid.uuid4().hex
        self._creating: asyncio.Task[api.AgentDispatch] | None = None
        self._earlier: set[str] = set()

    async def place(self) -> Placed:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                if (dispatch_id := await self._attempt()) is not None:
                    self.placed = True
                    return Placed(self.room, dispatch_id, self.attempts, time.monotonic() - self.started)
                self.error = None
            except (aiohttp.ClientError, TimeoutError) as error:
                self.error = error
            except api.ServerError as error:
                if error.code in PERMANENT or error.status in KEY_REFUSED:
                    raise
                self.error = error
            await asyncio.sleep(random.uniform(0.5, 1.0) * pause)  # noqa: S311  # jitter, not a secret
            pause = min(pause * 2, BACKOFF_CAP_SECONDS)

    def failed(self) -> AgentRuntimeError:
        waited = time.monotonic() - self.started
        if self.error is not None or not self.asked:
            last = f"{type(self.error).__name__}: {self.error}" if self.error else "no answer"
            return LiveKitUnreachable(f"LiveKit did not answer within {waited:.0f} s; at last: {last}")
        deployment = f" of deployment {self.deployment!r}" if self.deployment else ""
        return Busy(
            f"no worker named {self.agent_name!r}{deployment} took the call in {self.attempts} attempts over "
            f"{waited:.0f} s: every slot is taken, or none is registered"
        )

    async def leave(self) -> None:
        """Withdraw what was asked for, unless the call is placed; goes on for a while should LiveKit not answer."""
        if self.placed or self._creating is None:
            return
        task = asyncio.create_task(self._withdrawn(), name=f"withdraw {self.room}")
        _withdrawing.add(task)
        task.add_done_callback(_withdrawing.discard)
        await asyncio.wait({task}, timeout=WITHDRAW_SECONDS)

    async def _attempt(self) -> str | None:
        """The dispatch of the agent that came; None when nobody took it."""
        await self._withdraw()  # what an attempt before this one left, whose answer was lost, say
        if (there := await self._already_there()) is not None:
            return there
        self.attempts += 1
        request = api.CreateAgentDispatchRequest(
            agent_name=self.agent_name,
            room=self.room,
            metadata=self.metadata,
            deployment=self.deployment,
            attributes={**self.attributes, CALL_ATTRIBUTE: self.id},
        )
        # A request that is cut off may be carried out all the same: it is awaited, and then withdrawn.
        self._creating = asyncio.create_task(self.lkapi.agent_dispatch.create_dispatch(request))
        self._creating.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        dispatch = await asyncio.shield(self._creating)
        self.asked = True
        taken = await self._taken(dispatch.id)
        if taken is None:
            await self._withdraw()
        return taken

    async def _already_there(self) -> str | None:
        """The dispatch of an agent that is in the room or on its way ("" if it has none); None when there is none."""
        deadline = time.monotonic() + self.answer_seconds
        if not await self._exists():  # asked for its dispatches, LiveKit would look for it for seconds
            return None
        while True:
            agents, dispatches = await self._agents(), await self._dispatches()
            starting = [d for d in dispatches if self._alike(d) and _starting(d)]
            over = time.monotonic() > deadline
            # Of several who ask at once all but one withdraw: until then an agent may be a withdrawn one's.
            if over or sum(CALL_ATTRIBUTE in d.attributes for d in starting) < 2:
                for identity in agents:
                    if (found := self._dispatch_of(identity, dispatches)) is not None:
                        return found
            self._earlier = {d.id for d in dispatches}
            if not starting or over:
                return None
            await asyncio.sleep(POLL_SECONDS)

    def _dispatch_of(self, identity: str, dispatches: list[api.AgentDispatch]) -> str | None:
        """Of an agent in the room ("" if it has none); None where it is not the one that is asked for."""
        owner = next((d for d in dispatches if identity in _identities(d)), None)
        if owner is not None:
            return owner.id if self._alike(owner) else None
        if self.attempts:  # that of a withdrawn attempt, on its way out
            return None
        # LiveKit notes a job late.
        return next((d.id for d in dispatches if self._alike(d) and (_starting(d) or not d.state.jobs)), "")

    async def _taken(self, dispatch_id: str) -> str | None:
        """The dispatch whose job a worker has, as soon as one has it: this one, or one asked for at the same time."""
        deadline = time.monotonic() + self.answer_seconds
        while time.monotonic() < deadline:
            dispatches = {d.id: d for d in await self._dispatches() if self._alike(d)}
            rivals = [
                d for d in dispatches.values() if d.id not in self._earlier and CALL_ATTRIBUTE in d.attributes
            ]
            if rivals:  # the oldest stays; all who ask see the same one
                oldest = min(rivals, key=lambda d: (d.state.created_at, d.id))
                if oldest.id != dispatch_id and dispatches.get(dispatch_id) in rivals:
                    await self._withdraw()
                    dispatch_id = oldest.id
            watched = dispatches.get(dispatch_id)
            if watched is not None and watched.state.jobs:
                return dispatch_id
            if self.attempts == 1 and watched is not None and await self._agents():
                return dispatch_id  # in the room before LiveKit noted its job; later it may be a withdrawn attempt's
            await asyncio.sleep(POLL_SECONDS)
        return None

    def _alike(self, dispatch: api.AgentDispatch) -> bool:
        return dispatch.agent_name == self.agent_name and dispatch.deployment == self.deployment

    async def _exists(self) -> bool:
        return bool((await self.lkapi.room.list_rooms(api.ListRoomsRequest(names=[self.room]))).rooms)

    async def _agents(self) -> list[str]:
        """Identities of the agents of this name that are in the room."""
        request = api.ListParticipantsRequest(room=self.room)
        there = (await self.lkapi.room.list_participants(request)).participants
        return [p.identity for p in there if p.attributes.get(AGENT_NAME_ATTRIBUTE) == self.agent_name]

    async def _dispatches(self) -> list[api.AgentDispatch]:
        return await self.lkapi.agent_dispatch.list_dispatch(self.room)

    async def _withdrawn(self) -> None:
        """Withdraw, again and again: what was asked for may still be on its way to LiveKit."""
        try:
            async with asyncio.timeout(WITHDRAW_BESIDE_SECONDS):
                while True:
                    try:
                        await self._withdraw()
                    except (aiohttp.ClientError, TimeoutError, api.ServerError) as error:
                        logger.debug("withdrawing from %s: %s", self.room, error)
                        await asyncio.sleep(POLL_SECONDS)
                    except RuntimeError:  # the LiveKitAPI was closed meanwhile
                        return
                    else:
                        return
        except TimeoutError:
            logger.warning("room %s: LiveKit does not answer, so an agent may still come", self.room)

    async def _withdraw(self) -> None:
        """Delete this call's dispatches. Their jobs end with them, those included that are only being started."""
        if self._creating is None:
            return
        ids = set()
        try:
            ids.add((await asyncio.shield(self._creating)).id)
        except (aiohttp.ClientError, TimeoutError, api.ServerError):
            # Whether it was carried out is not known.
            async with self._unless_gone():
                ids |= {d.id for d in await self._dispatches() if d.attributes.get(CALL_ATTRIBUTE) == self.id}
        for dispatch_id in ids:
            async with self._unless_gone():
                await self.lkapi.agent_dispatch.delete_dispatch(dispatch_id, self.room)
        self._creating = None

    @asynccontextmanager
    async def _unless_gone(self) -> AsyncIterator[None]:
        """With the dispatch, or with its room: asked about one that is not there, LiveKit says after seconds that
        nobody answers (503)."""
        try:
            yield
        except api.ServerError as error:
            if error.code != api.ServerErrorCode.NOT_FOUND and await self._exists():
                raise


_withdrawing: set[asyncio.Task[None]] = set()


def _identities(dispatch: api.AgentDispatch) -> set[str]:
    return {job.state.participant_identity for job in dispatch.state.jobs}


def _starting(dispatch: api.AgentDispatch) -> bool:
    """Its agent may still come: a worker has just taken it, or somebody is asking with it this very moment."""
    since = [job.state.started_at for job in dispatch.state.jobs]
    if not since and CALL_ATTRIBUTE in dispatch.attributes:
        since = [dispatch.state.created_at]
    return any(time.time() - nanoseconds / 1e9 < STARTING_SECONDS for nanoseconds in since)
