"""A conversation in text with the agent of a room, as a real participant."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Self

from livekit import api, rtc

from infra.local.rooms import new_room

CHAT, TRANSCRIPTION = "lk.chat", "lk.transcription"
# On two busy cores a job process takes seconds to start and a sentence is answered within one; far above both.
JOIN_SECONDS = 30.0
ANSWER_SECONDS = 30.0
# LiveKit takes about 20 s to miss a participant whose process was killed.
NOTICE_SECONDS = 60.0


@dataclass(frozen=True)
class Line:
    """Where calls are placed."""

    url: str
    key: str
    secret: str
    agent_name: str

    def api(self) -> api.LiveKitAPI:
        return api.LiveKitAPI(self.url, self.key, self.secret)

    def token(self, room: str, identity: str) -> str:
        grants = api.VideoGrants(room_join=True, room=room)
        return api.AccessToken(self.key, self.secret).with_identity(identity).with_grants(grants).to_jwt()


class AgentGone(Exception):
    """The agent left the room before the caller did."""


class Conversation:
    """A room joined as a caller, with what the agent says in it."""

    def __init__(self, line: Line, room: str, identity: str) -> None:
        self._line, self._name, self._identity = line, room, identity
        self._room = new_room()
        self._said: asyncio.Queue[str] = asyncio.Queue()
        self._gone = asyncio.Event()
        self._readers: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        # Registered before connecting: the agent may be in the room already and greet at once.
        self._room.register_text_stream_handler(TRANSCRIPTION, self._on_text)
        self._room.on("participant_connected", self._on_joined)
        self._room.on("participant_disconnected", self._on_left)
        self._room.on("disconnected", self._on_disconnected)
        try:
            async with asyncio.timeout(JOIN_SECONDS):
                await self._room.connect(self._line.url, self._line.token(self._name, self._identity))
        except BaseException as error:
            await self._room.disconnect()
            if isinstance(error, TimeoutError):
                raise TimeoutError(f"could not join the room within {JOIN_SECONDS:g} s") from None
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._room.disconnect()
        for task in self._readers:
            task.cancel()

    async def say(self, text: str) -> None:
        await self._room.local_participant.send_text(text, topic=CHAT)

    async def hear(self) -> str:
        """The next thing the agent says.

        Raises:
            AgentGone: it left instead.
            TimeoutError: silence for `ANSWER_SECONDS`.
        """
        heard, gone = asyncio.create_task(self._said.get()), asyncio.create_task(self._gone.wait())
        try:
            done, _ = await asyncio.wait(
                {heard, gone}, timeout=ANSWER_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            heard.cancel()
            gone.cancel()
        if heard in done:
            return heard.result()
        if gone in done:
            raise AgentGone("the agent left before it answered")
        raise TimeoutError(f"no answer within {ANSWER_SECONDS:g} s")

    @property
    def agents(self) -> set[str]:
        """Who of those in the room is an agent, by identity: two while one that died is not missed yet."""
        return {who for who, other in self._room.remote_participants.items() if _is_agent(other)}

    async def until_gone(self, *, within: float | None = None) -> None:
        """Stay on the line until the agent leaves, or raise TimeoutError after `within` seconds."""
        async with asyncio.timeout(within):
            await self._gone.wait()

    def _on_text(self, reader: rtc.TextStreamReader, identity: str) -> None:
        if identity == self._identity:
            return

        async def read() -> None:
            if text := (await reader.read_all()).strip():
                self._said.put_nowait(text)

        task = asyncio.create_task(read())
        self._readers.add(task)
        task.add_done_callback(self._readers.discard)

    def _on_joined(self, _: rtc.RemoteParticipant) -> None:
        if self.agents:  # another one, where a watcher has placed it
            self._gone.clear()

    def _on_left(self, participant: rtc.RemoteParticipant) -> None:
        if _is_agent(participant) and not self.agents:
            self._gone.set()

    def _on_disconnected(self, *_: object) -> None:
        self._gone.set()


def _is_agent(participant: rtc.RemoteParticipant) -> bool:
    return participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
