"""Ends a job when its call is over: at hang-up, when nobody joins, and politely at the time limit.

Left alone, a job holds its slot (and its connections) for 20 s after the caller left and for 300 s in an empty room:
LiveKit's `departure_timeout` and `empty_timeout`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from livekit import rtc
from livekit.agents.job import DEFAULT_PARTICIPANT_KINDS

logger = logging.getLogger("agent.runtime")


class CallWatch:
    """Watches the room of one job. All times in seconds.

    Args:
        end: called once the call is over, with the reason.
        farewell: awaited at `max_call_seconds`, at most `goodbye_seconds`, before the call is ended.
    """

    def __init__(
        self,
        room: rtc.Room,
        end: Callable[[str], None],
        *,
        join_timeout_seconds: float,
        max_call_seconds: float,
        goodbye_seconds: float,
        farewell: Callable[[], Coroutine[Any, Any, None]] | None,
    ) -> None:
        self._room = room
        self._end = end
        self._joined = asyncio.Event()
        room.on("participant_connected", self._on_joined)
        room.on("participant_disconnected", self._on_left)
        room.on("disconnected", self._on_disconnected)
        self._tasks = [
            asyncio.create_task(self._until_joined(join_timeout_seconds), name="call-join"),
            asyncio.create_task(
                self._until_limit(max_call_seconds, goodbye_seconds, farewell), name="call-limit"
            ),
        ]

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _callers(self) -> list[rtc.RemoteParticipant]:
        return [p for p in self._room.remote_participants.values() if p.kind in DEFAULT_PARTICIPANT_KINDS]

    def _on_joined(self, participant: rtc.RemoteParticipant) -> None:
        if participant.kind in DEFAULT_PARTICIPANT_KINDS:
            self._joined.set()

    def _on_left(self, participant: rtc.RemoteParticipant) -> None:
        if participant.kind in DEFAULT_PARTICIPANT_KINDS and not self._callers():
            self._end("caller hung up")

    def _on_disconnected(self, *_: object) -> None:
        self._end("room disconnected")

    async def _until_joined(self, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._joined.wait()
        except TimeoutError:
            # Who was in the room before this job connected to it raised no event.
            if not self._callers():
                self._end("nobody joined")

    async def _until_limit(
        self,
        max_call_seconds: float,
        goodbye_seconds: float,
        farewell: Callable[[], Coroutine[Any, Any, None]] | None,
    ) -> None:
        await asyncio.sleep(max_call_seconds)
        logger.info("the call reached its limit of %g s", max_call_seconds)
        if farewell is not None:
            saying = asyncio.create_task(farewell(), name="on_time_limit")
            await asyncio.wait({saying}, timeout=goodbye_seconds)
            if not saying.done():
                logger.warning("on_time_limit took more than %g s; the call ends without it", goodbye_seconds)
                saying.cancel()
            elif not saying.cancelled() and (error := saying.exception()):
                logger.error("on_time_limit failed; the call ends without it", exc_info=error)
        self._end("max_call_seconds reached")
