"""Ends a job when its call is over: at hang-up, when nobody joins, and politely at the time limit.

Left alone, a job holds its slot (and its connections) for 20 s after the caller left and for 300 s in an empty room:
LiveKit's `departure_timeout` and `empty_timeout`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from livekit import rtc
from livekit.agents import JobContext

logger = logging.getLogger("agent.runtime")

CALLER_KINDS = {
    rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD,
    rtc.ParticipantKind.PARTICIPANT_KIND_SIP,
}


class CallWatch:
    """Watches the room of one job. All times in seconds.

    Args:
        farewell: awaited at `max_call_seconds`, within `goodbye_seconds`, before the job is shut down.
    """

    def __init__(
        self,
        ctx: JobContext,
        *,
        join_timeout_seconds: float,
        max_call_seconds: float,
        goodbye_seconds: float,
        farewell: Callable[[], Awaitable[None]] | None,
    ) -> None:
        self._ctx = ctx
        self._joined = asyncio.Event()
        self._farewell = farewell
        self._goodbye_seconds = goodbye_seconds
        self.over = False
        """True once the call has ended; what the entrypoint raises after that is no failure."""
        ctx.room.on("participant_connected", self._on_joined)
        ctx.room.on("disconnected", self._on_disconnected)
        ctx.room.on("participant_disconnected", self._on_left)
        self._tasks = [
            asyncio.create_task(self._until_joined(join_timeout_seconds), name="call-join"),
            asyncio.create_task(self._until_limit(max_call_seconds), name="call-limit"),
        ]

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _callers(self) -> list[rtc.RemoteParticipant]:
        return [p for p in self._ctx.room.remote_participants.values() if p.kind in CALLER_KINDS]

    def _on_joined(self, participant: rtc.RemoteParticipant) -> None:
        if participant.kind in CALLER_KINDS:
            self._joined.set()

    def _on_left(self, participant: rtc.RemoteParticipant) -> None:
        if participant.kind in CALLER_KINDS and not self._callers():
            self._end("caller hung up")

    def _on_disconnected(self, *_: object) -> None:
        self.over = True  # LiveKit shuts the job down by itself: room deleted, agent removed

    def _end(self, reason: str) -> None:
        self.over = True
        self._ctx.shutdown(reason=reason)

    async def _until_joined(self, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._joined.wait()
        except TimeoutError:
            # Who was in the room before this job connected to it raised no event.
            if not self._callers():
                self._end("nobody joined")

    async def _until_limit(self, max_call_seconds: float) -> None:
        await asyncio.sleep(max_call_seconds)
        logger.info("the call reached its limit of %g s", max_call_seconds)
        try:
            if self._farewell is not None:
                async with asyncio.timeout(self._goodbye_seconds):
                    await self._farewell()
        except Exception:
            logger.exception("the farewell failed; the call ends without it")
        self._end("max_call_seconds reached")
