"""For the caller's side: place a call, and learn when every slot is taken.

LiveKit keeps no queue. When all workers refuse a job it is gone, and the one who asked is told nothing (FACTS.md).
What can be seen is that a worker took it: the job stands in the dispatch (0.3 s on a warm server), or the agent is in
the room. That none took it shows only by waiting long enough.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping

from livekit import api

from agent.runtime.errors import Busy, LiveKitUnreachable
from agent.runtime.placing import ANSWER_SECONDS, Placed, Placing

__all__ = ["ANSWER_SECONDS", "Busy", "LiveKitUnreachable", "Placed", "place_call"]

# What livekit-server lets anybody join (limit.max_room_name_length, its default); it dispatches agents to longer ones.
ROOM_NAME_BYTES = 256


async def place_call(
    lkapi: api.LiveKitAPI,
    *,
    agent_name: str,
    room: str,
    metadata: str = "",
    deployment: str = "",
    attributes: Mapping[str, str] | None = None,
    wait_seconds: float = 30.0,
    answer_seconds: float = ANSWER_SECONDS,
) -> Placed:
    """Have an agent in `room`: ask again and again, with growing, jittered pauses, until one comes or the time is over.

    An agent of that name and deployment that is in the room, or on its way, is taken for it: asked three times, one
    comes. If this ends without an agent, by a cancel too, what it asked for is withdrawn.

    Args:
        deployment: of the agent (`LIVEKIT_AGENT_DEPLOYMENT` of its workers); "" is the one without a name.
        attributes: of the dispatch, for the job's `ctx.job.attributes`.
        wait_seconds: longest time in all, LiveKit's own answers included; what a caller bears to hear it ring.
            Only withdrawing comes on top: milliseconds, and at most 2 s where LiveKit does not answer.
        answer_seconds: how long an attempt may stay unanswered before it counts as refused by all.

    Raises:
        Busy: nobody took the call.
        LiveKitUnreachable: LiveKit did not answer at last. Errors that may pass (a network's, a 5xx) are tried again
            until then: no aiohttp.ClientError comes out of here.
        livekit.api.ServerError: LiveKit refused the request itself (credentials, deployment).
        ValueError: a room name that nobody can join, or a time that is none.
    """
    _check(room, wait_seconds=wait_seconds, answer_seconds=answer_seconds)
    call = Placing(lkapi, agent_name, room, deployment, metadata, dict(attributes or {}), answer_seconds)
    try:
        async with asyncio.timeout(wait_seconds):
            return await call.place()
    except TimeoutError:
        raise call.failed() from None
    finally:
        await call.leave()


def _check(room: str, **seconds: float) -> None:
    for name, value in seconds.items():
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name}={value!r}: accepted: a finite number of seconds above 0")
    if not 1 <= len(room.encode()) <= ROOM_NAME_BYTES:
        raise ValueError(
            f"room={room[:40]!r} of {len(room.encode())} bytes: nobody could join it; "
            f"accepted: 1 to {ROOM_NAME_BYTES} bytes"
        )
