"""One caller: has a call placed, joins the room, says a few sentences and hangs up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from livekit import api, rtc

from agent.runtime.dispatch import Busy, LiveKitUnreachable, place_call
from infra.local.conversation import NOTICE_SECONDS, AgentGone, Conversation, Line

ONE_MORE = "One more thing, please."


class Outcome(StrEnum):
    """How a call ended for its caller."""

    ANSWERED = "answered"
    BUSY = "refused as busy"
    LOST = "lost"
    KILLED = "killed on purpose"


@dataclass
class CallResult:
    """What became of one call; times are time.monotonic()."""

    room: str
    caller_id: str
    outcome: Outcome
    began: float
    ended: float
    attempts: int = 1
    waited_seconds: float = 0.0
    """Until a worker accepted it; more than one attempt means that every slot was taken at first."""
    answers: int = 0
    again: bool = False
    """A second call of someone whose first was killed on purpose."""
    detail: str = ""


class Caller:
    """One call, with the hooks the demo needs to interfere with it."""

    def __init__(
        self, line: Line, room: str, sentences: Sequence[str], *, pause_seconds: float, again: bool = False
    ) -> None:
        self.room = room
        self.again = again
        self.caller_id = f"caller-{room}"
        self.talking = False
        """True from the greeting to the hang-up."""
        self.released = asyncio.Event()
        """Set when nobody has to wait for this call any longer: it ended, or it was chosen as the victim."""
        self.stays_until: asyncio.Event | None = None
        """While set and not signalled, the caller keeps talking: so that a drain meets a call in progress."""
        self._victim = False
        self._line, self._sentences, self._pause = line, sentences, pause_seconds

    def choose_as_victim(self) -> None:
        """This call's job is about to be killed: the caller says no more and waits to see it."""
        self._victim = True
        self.released.set()

    async def call(self, livekit: api.LiveKitAPI) -> CallResult:
        """Place the call and hold it. Never raises what a call can end in: that is the result's outcome."""
        result = CallResult(self.room, self.caller_id, Outcome.LOST, began=time.monotonic(), ended=0)
        result.again = self.again
        try:
            placed = await place_call(
                livekit, agent_name=self._line.agent_name, room=self.room, metadata=self.caller_id
            )
            result.attempts, result.waited_seconds = placed.attempts, placed.waited_seconds
            await self._talk(result)
            result.outcome = Outcome.ANSWERED
        except Busy as busy:
            result.outcome, result.detail = Outcome.BUSY, str(busy)
            result.waited_seconds = time.monotonic() - result.began
        except (
            AgentGone,
            LiveKitUnreachable,
            TimeoutError,
            OSError,
            rtc.ConnectError,
            api.ServerError,
        ) as error:
            result.outcome = Outcome.KILLED if self._victim else Outcome.LOST
            result.detail = f"{type(error).__name__}: {error}".rstrip(": ")
        finally:
            self.talking = False
            self.released.set()
            result.ended = time.monotonic()
        return result

    async def _talk(self, result: CallResult) -> None:
        async with Conversation(self._line, self.room, self.caller_id) as conversation:
            await conversation.hear()  # the greeting
            self.talking = True
            for sentence in self._sentences:
                await self._turn(conversation, sentence, result)
            while self.stays_until is not None and not self.stays_until.is_set():
                await self._turn(conversation, ONE_MORE, result)
            await self._stay_if_victim(conversation)
            self.talking = False

    async def _turn(self, conversation: Conversation, sentence: str, result: CallResult) -> None:
        # People think before they speak; without it no two calls would overlap for long.
        await asyncio.sleep(self._pause)
        await self._stay_if_victim(conversation)
        await conversation.say(sentence)
        await conversation.hear()
        result.answers += 1

    async def _stay_if_victim(self, conversation: Conversation) -> None:
        if self._victim:
            await conversation.until_gone(within=NOTICE_SECONDS)
            raise AgentGone("the agent left in the call")
