"""For the caller's side: place a call, and learn when every slot is taken.

LiveKit keeps no queue. When all workers refuse a job it is gone, and the one who asked is told nothing (FACTS.md).
What can be seen is that a worker took it: the job stands in the dispatch (0.3 s on a warm server), or the agent is in
the room. That none took it shows only by waiting long enough.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass

from livekit import api
from livekit.agents.types import ATTRIBUTE_AGENT_NAME

from agent.runtime.errors import AgentRuntimeError

POLL_SECONDS = 0.2
FIRST_PAUSE_SECONDS = 0.25
BACKOFF_CAP_SECONDS = 5.0
# livekit-server 1.13 notes an accepted job in the dispatch only after it has asked all nodes who serves the agent; once
# a minute, and after a worker registered, that takes its CheckEnabledTimeout of 5 s (pkg/agent/client.go; measured).
ANSWER_SECONDS = 6.0


@dataclass(frozen=True)
class Placed:
    """A call that a worker took."""

    room: str
    dispatch_id: str
    attempts: int
    waited_seconds: float


class Busy(AgentRuntimeError):
    """No worker took the call within the time given: every slot is taken, or no worker of that name is registered."""


async def place_call(
    lkapi: api.LiveKitAPI,
    *,
    agent_name: str,
    room: str,
    metadata: str = "",
    wait_seconds: float = 30.0,
    answer_seconds: float = ANSWER_SECONDS,
) -> Placed:
    """Ask for an agent in `room`, again and again with growing, jittered pauses, until one comes or the time is over.

    Args:
        wait_seconds: longest time in all; what a caller bears to hear it ring.
        answer_seconds: how long an attempt may stay unanswered before it counts as refused by all.

    Raises:
        Busy: nobody took the call; the last attempt was withdrawn. Should a worker have taken it in that very moment,
            its job ends by itself after `AGENT_JOIN_TIMEOUT_SECONDS`, since nobody joins.
        livekit.api.ServerError: LiveKit refused the request itself (credentials, room name).
    """
    started = time.monotonic()
    pause = FIRST_PAUSE_SECONDS
    attempts = 0
    while True:
        attempts += 1
        dispatch = await lkapi.agent_dispatch.create_dispatch(
            api.CreateAgentDispatchRequest(agent_name=agent_name, room=room, metadata=metadata)
        )
        try:
            taken = await _taken(lkapi, agent_name, room, dispatch.id, answer_seconds)
        except BaseException:
            await _withdraw(lkapi, room, dispatch.id)
            raise
        waited = time.monotonic() - started
        if taken:
            return Placed(room, dispatch.id, attempts, waited)
        await _withdraw(lkapi, room, dispatch.id)
        if waited >= wait_seconds:
            raise Busy(
                f"no worker named {agent_name!r} took the call in {attempts} attempts over {waited:.0f} s: "
                "every slot is taken, or none is registered"
            )
        await asyncio.sleep(random.uniform(0.5, 1.0) * pause)  # noqa: S311  # jitter, not a secret
        pause = min(pause * 2, BACKOFF_CAP_SECONDS)


async def _taken(lkapi: api.LiveKitAPI, agent_name: str, room: str, dispatch_id: str, timeout: float) -> bool:
    """True as soon as a worker has this attempt's job, or the agent of an earlier, late answered one is in the room."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        dispatches = await lkapi.agent_dispatch.list_dispatch(room)
        if any(d.state.jobs for d in dispatches if d.id == dispatch_id):
            return True
        participants = await lkapi.room.list_participants(api.ListParticipantsRequest(room=room))
        if any(p.attributes.get(ATTRIBUTE_AGENT_NAME) == agent_name for p in participants.participants):
            return True
        await asyncio.sleep(POLL_SECONDS)
    return False


async def _withdraw(lkapi: api.LiveKitAPI, room: str, dispatch_id: str) -> None:
    try:
        await lkapi.agent_dispatch.delete_dispatch(dispatch_id, room)
    except api.ServerError as error:
        if error.code != api.ServerErrorCode.NOT_FOUND:
            raise
