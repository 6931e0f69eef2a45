"""A call whose job died is taken over by another job: what that job learns, and how one that ends on purpose says so.

livekit-server keeps `JS_RUNNING` as the state of every job for ever (1.13; measured), so nobody can read a death there.
What tells an end from a death is the dispatch: a job that leaves a caller behind on purpose deletes its own before it
leaves the room. A dispatch that is still there while its agent is not belongs to a job that died (watch.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import aiohttp
from livekit import api, rtc
from livekit.agents import JobContext
from livekit.agents.job import DEFAULT_PARTICIPANT_KINDS

from agent.runtime.placing import TAKEOVER_ATTRIBUTE

logger = logging.getLogger("agent.runtime")

# Within what a job has for its end; should LiveKit not answer, a watcher may place the agent once more.
SAY_SECONDS = 2.0
# Somebody's decision, where every other reason is an accident.
REMOVED = rtc.DisconnectReason.PARTICIPANT_REMOVED


def takeover_of(ctx: JobContext) -> str:
    """The id of the job that died in this call, where this job takes it over; else ""."""
    return str(ctx.job.attributes.get(TAKEOVER_ATTRIBUTE, ""))


class Ending:
    """Notes whether a job's end was asked for in the job itself, and says so to who watches."""

    def __init__(self, ctx: JobContext) -> None:
        self._ctx = ctx
        self._asked = False
        self._disconnected: int | None = None
        self._shutdown: Callable[[str], None] = ctx._on_shutdown  # noqa: SLF001  # LiveKit calls no hook at its begin
        ctx._on_shutdown = self._on_shutdown  # noqa: SLF001
        ctx.room.on("disconnected", self._on_disconnected)

    async def say(self) -> None:
        """Delete the job's dispatch, if it ends on purpose while a caller is there."""
        job = self._ctx.job
        callers = [
            p for p in self._ctx.room.remote_participants.values() if p.kind in DEFAULT_PARTICIPANT_KINDS
        ]
        left = bool(callers) and self._disconnected is None
        if not (self._asked and job.dispatch_id and (left or self._disconnected == REMOVED)):
            return
        try:
            async with asyncio.timeout(SAY_SECONDS):
                await self._ctx.api.agent_dispatch.delete_dispatch(job.dispatch_id, job.room.name)
        except api.ServerError as error:
            if error.code != api.ServerErrorCode.NOT_FOUND:
                logger.warning("the job's dispatch is not deleted: %s", error)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            logger.warning("the job's dispatch is not deleted: %s: %s", type(error).__name__, error)

    def _on_shutdown(self, reason: str) -> None:
        self._asked = True
        self._shutdown(reason)

    def _on_disconnected(self, reason: int) -> None:
        self._disconnected = reason
