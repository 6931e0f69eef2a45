"""Ends a job when its call is over: at hang-up, when nobody joins or comes back, and politely at the time limit.

Left alone, a job holds its slot (and its connections) for 20 s after the caller left and for 300 s in an empty room:
LiveKit's `departure_timeout` and `empty_timeout`. A caller who only reloads the page or loses the network leaves, too,
for LiveKit: that one is waited for (see departures.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from livekit import rtc
from livekit.agents.job import DEFAULT_PARTICIPANT_KINDS

from agent.runtime.departures import Reason, ends_the_call, name
from agent.runtime.metrics import Ended

logger = logging.getLogger("agent.runtime")

# What is told while an earlier hook runs waits so long for it; then that one is cancelled.
HOOK_SECONDS = 5.0

Told = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True)
class CallHooks:
    """What the agent is told, each awaited in a task of its own; None: it is not."""

    farewell: Told | None = None
    """At `max_call_seconds`, at most `goodbye_seconds`, before the call is ended."""
    lost: Told | None = None
    """The last caller vanished and may come back."""
    back: Told | None = None
    """Somebody is there again, before the wait was over."""


class CallWatch:
    """Watches the room of one job. All times in seconds.

    Args:
        end: called once the call is over, with how and with a sentence for the log.
        rejoin_seconds: how long a caller who vanished is waited for. LiveKit closes a room that has only agents left
            after its `departure_timeout`, which ends the call as well.
        close_on_disconnect: False: no departure ends the call, only the agent itself, its room's end and the limits.
    """

    def __init__(
        self,
        room: rtc.Room,
        end: Callable[[Ended, str], None],
        *,
        join_timeout_seconds: float,
        rejoin_seconds: float,
        max_call_seconds: float,
        goodbye_seconds: float,
        hooks: CallHooks,
        close_on_disconnect: Callable[[], bool] = lambda: True,
    ) -> None:
        self._room = room
        self._end = end
        self._rejoin_seconds = rejoin_seconds
        self._hooks = hooks
        self._close_on_disconnect = close_on_disconnect
        self._joined = asyncio.Event()
        self._reconnected = asyncio.Event()
        self._reconnected.set()
        self._missed: dict[str, float] = {}
        """Identities of callers who vanished, and until when each may be back."""
        self._waiting: asyncio.TimerHandle | None = None
        """While the last caller is gone and may come back."""
        self._telling: asyncio.Task[None] | None = None
        room.on("participant_connected", self._on_joined)
        room.on("participant_disconnected", self._on_left)
        room.on("reconnecting", self._reconnected.clear)
        room.on("reconnected", self._reconnected.set)
        room.on("disconnected", self._on_disconnected)
        self._tasks = [
            asyncio.create_task(self._until_joined(join_timeout_seconds), name="call-join"),
            asyncio.create_task(self._until_limit(max_call_seconds, goodbye_seconds), name="call-limit"),
        ]

    def stop(self) -> None:
        """End nothing and tell nothing any more; a hook that runs is cancelled."""
        self._stop_waiting()
        for task in (*self._tasks, *([self._telling] if self._telling else [])):
            task.cancel()

    def _callers(self) -> list[rtc.RemoteParticipant]:
        return [p for p in self._room.remote_participants.values() if p.kind in DEFAULT_PARTICIPANT_KINDS]

    def _on_joined(self, participant: rtc.RemoteParticipant) -> None:
        if participant.kind in DEFAULT_PARTICIPANT_KINDS:
            self._joined.set()
            self._missed.pop(participant.identity, None)
            if self._stop_waiting():
                logger.info("a caller is back")
                self._tell("on_caller_back", self._hooks.back)

    def _on_left(self, participant: rtc.RemoteParticipant) -> None:
        if participant.kind not in DEFAULT_PARTICIPANT_KINDS:
            return
        self._joined.set()  # whoever leaves had joined, maybe before this job did, which raises no event
        loop, reason, callers = asyncio.get_running_loop(), participant.disconnect_reason, self._callers()
        if ends_the_call(reason):
            self._missed.pop(participant.identity, None)
        elif participant.identity not in {caller.identity for caller in callers}:
            self._missed[participant.identity] = loop.time() + self._rejoin_seconds
        if callers:
            return
        # The last to leave may have hung up while another is only away for a moment.
        until = max(self._missed.values(), default=0.0)
        if ends_the_call(reason) and until < loop.time():
            if self._close_on_disconnect():
                self._end(Ended.HUNG_UP, "caller hung up")
        elif self._waiting is None:
            logger.info("no caller is there (%s); waiting %.1f s", name(reason), until - loop.time())
            self._waiting = loop.call_at(until, self._not_back)
            self._tell("on_caller_lost", self._hooks.lost)

    def _not_back(self) -> None:
        if self._close_on_disconnect():
            self._end(Ended.LOST, f"the caller was not back within {self._rejoin_seconds:g} s")

    def _on_disconnected(self, reason: Reason.ValueType | None = None) -> None:
        if reason in (Reason.ROOM_DELETED, Reason.PARTICIPANT_REMOVED, Reason.CLIENT_INITIATED):
            how = Ended.ENDED
        elif reason == Reason.ROOM_CLOSED:
            # LiveKit does it some time after the last caller left: one that is waited for, or that was let go.
            how = Ended.LOST if self._waiting else Ended.HUNG_UP
        else:
            how = Ended.DISCONNECTED
        self._end(how, f"room disconnected ({name(reason)})")

    def _stop_waiting(self) -> bool:
        """True if somebody was waited for."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.cancel()
        return waiting is not None

    def _tell(self, what: str, hook: Told | None) -> None:
        if hook is not None:
            self._telling = asyncio.create_task(_tell(what, hook, self._telling), name=what)

    async def _until_joined(self, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._joined.wait()
        except TimeoutError:
            # A job that is reconnecting sees nobody; who is there shows when it is back.
            await self._reconnected.wait()
            # Who was in the room before this job connected to it raised no event.
            if not self._callers() and not self._joined.is_set():
                self._end(Ended.NOBODY_JOINED, "nobody joined")

    async def _until_limit(self, max_call_seconds: float, goodbye_seconds: float) -> None:
        await asyncio.sleep(max_call_seconds)
        logger.info("the call reached its limit of %g s", max_call_seconds)
        if self._hooks.farewell is not None:
            saying = asyncio.create_task(self._hooks.farewell(), name="on_time_limit")
            await asyncio.wait({saying}, timeout=goodbye_seconds)
            if not saying.done():
                logger.warning("on_time_limit took more than %g s; the call ends without it", goodbye_seconds)
                saying.cancel()
            elif not saying.cancelled() and (error := saying.exception()):
                logger.error("on_time_limit failed; the call ends without it", exc_info=error)
        self._end(Ended.TIME_LIMIT, "max_call_seconds reached")


async def _tell(what: str, hook: Told, earlier: asyncio.Task[None] | None) -> None:
    """Await `hook`, in the order of events; a failure of it is the log's, not the call's."""
    if earlier is not None and not earlier.done():
        await asyncio.wait({earlier}, timeout=HOOK_SECONDS)
        if not earlier.done():
            logger.warning("%s took more than %g s, cancelling it", earlier.get_name(), HOOK_SECONDS)
            earlier.cancel()
    try:
        await hook()
    except Exception:
        logger.exception("%s failed; the call goes on", what)
