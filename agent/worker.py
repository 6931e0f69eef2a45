"""The agent: yours to change. It opens MongoDB and Redis once per call and closes them when the call is stored."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from beanie.operators import Inc, Set
from livekit.agents import NOT_GIVEN, Agent, AgentSession, JobContext
from livekit.agents.llm import ChatContext
from livekit.agents.voice.room_io import RoomOptions
from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent.models import DOCUMENTS, Caller, Message, Transcript, session_key
from agent.runtime import LifespanServer, takeover_of
from agent.runtime.datastores.mongodb import mongodb
from agent.runtime.datastores.mongodb_indexes import check_indexes
from agent.runtime.datastores.mongodb_spool import restoring, store
from agent.runtime.datastores.redis import redis
from agent.runtime.datastores.together import together
from agent.runtime.scripted_llm import ScriptedLLM

logger = logging.getLogger("agent")

SESSION_STATE_SECONDS = 3600


@dataclass
class Call:
    """What the lifespan yields: one per call."""

    redis: Redis
    started_at: datetime
    caller_id: str = ""
    session: AgentSession[None] | None = None


@asynccontextmanager
async def lifespan(_: JobContext) -> AsyncIterator[Call]:
    """Once per call, in the job's own loop: open both at once, yield, close in reverse order."""
    async with together(mongodb(DOCUMENTS), redis()) as (_, cache):
        yield Call(redis=cache, started_at=datetime.now(UTC))


@asynccontextmanager
async def worker_lifespan() -> AsyncIterator[None]:
    """Once per worker, before it takes calls: do the datastores answer, are the indexes there?

    Until the last call has ended it stores, too, what calls could not.
    """
    async with mongodb(DOCUMENTS) as db, redis(), restoring(db, server.settings.spool_directory):
        await check_indexes(DOCUMENTS)
        yield


server = LifespanServer(lifespan=lifespan, worker_lifespan=worker_lifespan)


def new_session() -> AgentSession[None]:
    """A voice pipeline where AGENT_LLM (and AGENT_STT, AGENT_TTS) name models; else text with a scripted one."""
    stt, llm, tts = (os.environ.get(name) or NOT_GIVEN for name in ("AGENT_STT", "AGENT_LLM", "AGENT_TTS"))
    if llm is NOT_GIVEN:
        return AgentSession(llm=ScriptedLLM(), vad=None, turn_handling={"turn_detection": None})
    return AgentSession(stt=stt, llm=llm, tts=tts)


class Assistant(Agent):
    """Keeps what was said in Redis at each turn, so that a job that takes the call over knows where it stands."""

    def __init__(self, call: Call, said: ChatContext | None) -> None:
        instructions = "You are a friendly assistant. Answer in one or two sentences."
        super().__init__(instructions=instructions, chat_ctx=said or NOT_GIVEN)
        self._call = call
        self._greeting = "Say that you are back, and go on." if said else "Greet the caller."

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions=self._greeting)

    async def llm_node(self, chat_ctx: ChatContext, *args: Any, **kwargs: Any) -> Any:
        key = session_key(self._call.caller_id)
        try:
            await self._call.redis.hincrby(key, "turns", 1)
            await self._call.redis.hset(key, "said", json.dumps(chat_ctx.to_dict(exclude_timestamp=False)))
            await self._call.redis.expire(key, SESSION_STATE_SECONDS)
        except RedisError as error:  # an answer is worth more than its count
            logger.warning("a turn was not counted: %s", type(error).__name__)
        return Agent.default.llm_node(self, chat_ctx, *args, **kwargs)


async def said_before(ctx: JobContext, call: Call) -> ChatContext | None:
    """The conversation so far, where this job takes over from one that died; else None."""
    if not takeover_of(ctx):
        return None
    said = await call.redis.hget(session_key(call.caller_id), "said")
    return ChatContext.from_dict(json.loads(said)) if said else None


async def save_transcript(ctx: JobContext, call: Call) -> None:
    """After the session, while MongoDB is still open; in a file, to be stored later, should it not answer."""
    if call.session is None:
        return
    now = datetime.now(UTC)
    transcript = Transcript(
        room=ctx.room.name,
        job_id=ctx.job.id,
        caller_id=call.caller_id,
        started_at=call.started_at,
        ended_at=now,
        expires_at=now + timedelta(days=server.settings.transcript_retention_days),
        messages=[
            Message(role=m.role, text=m.text_content or "", at=datetime.fromtimestamp(m.created_at, UTC))
            for m in call.session.history.messages()
        ],
    )
    await store(transcript, server.settings.spool_directory)


async def say_goodbye(_: JobContext, call: Call) -> None:
    """At AGENT_MAX_CALL_SECONDS."""
    if call.session is not None:
        await call.session.generate_reply(instructions="The time is up: say goodbye.")


async def pause(_: JobContext, call: Call) -> None:
    """The caller vanished, and may be back within AGENT_REJOIN_SECONDS: say nothing to nobody."""
    if call.session is not None:
        await call.session.interrupt()


async def go_on(_: JobContext, call: Call) -> None:
    """Somebody is there again, and may have missed the last words."""
    if call.session is not None:
        await call.session.generate_reply(instructions="The line was interrupted: go on where you were.")


@server.rtc_session(
    on_session_end=save_transcript, on_time_limit=say_goodbye, on_caller_lost=pause, on_caller_back=go_on
)
async def entrypoint(ctx: JobContext, call: Call) -> None:
    await ctx.connect()
    call.caller_id = (await ctx.wait_for_participant()).identity
    now = datetime.now(UTC)
    await Caller.find_one(Caller.caller_id == call.caller_id).upsert(
        Inc({Caller.calls: 1}),
        Set({Caller.last_seen: now}),
        on_insert=Caller(caller_id=call.caller_id, calls=1, first_seen=now, last_seen=now),
    )
    call.session = new_session()
    await call.session.start(
        Assistant(call, await said_before(ctx, call)),
        room=ctx.room,
        room_options=RoomOptions(
            audio_input=call.session.stt is not None, audio_output=call.session.tts is not None
        ),
    )
