"""The example's job is killed in mid-call: a watcher, or the backend that placed the call, places another one, which
knows what was said.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from livekit import api
from redis.asyncio import Redis

from agent.models import session_key
from agent.runtime.dispatch import Placed, place_call
from agent.runtime.placing import TAKEOVER_ATTRIBUTE
from agent.runtime.watch import keep_agent
from infra.local import slot_locks
from infra.local import stack as stacks
from infra.local.__main__ import STACK_FILE, solved
from infra.local.conversation import Conversation
from infra.local.eventually import eventually
from infra.local.run import Run

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]


@asynccontextmanager
async def watched(stack: stacks.Stack) -> AsyncIterator[None]:
    command = [sys.executable, "-m", "agent.runtime.watch"]
    watcher = stack.run.start("watcher", command, environment=stack.environment)
    yield
    assert await stack.run.stop(watcher) == 0
    assert "taken over from job" in watcher.log.read_text()


@asynccontextmanager
async def kept(stack: stacks.Stack, livekit: api.LiveKitAPI, placed: Placed) -> AsyncIterator[None]:
    keeping = asyncio.create_task(keep_agent(livekit, placed, agent_name=stack.line.agent_name))
    yield
    await livekit.room.delete_room(api.DeleteRoomRequest(room=placed.room))
    assert await keeping == 1


@pytest.mark.parametrize("by", ["a watcher", "the backend"])
async def test_the_conversation_goes_on_with_another_job(by: str, tmp_path: Path) -> None:
    solution, _ = solved(STACK_FILE, workers=1, slots=2)
    async with (
        Run("test-takeover", tmp_path) as run,
        stacks.running(run, solution, workers=1, say=lambda _: None) as stack,
        stack.line.api() as livekit,
        Redis.from_url(stack.redis.url) as redis,
    ):
        worker = stack.workers["worker-1"]
        placed = await place_call(livekit, agent_name=stack.line.agent_name, room="cut")
        looked_after = watched(stack) if by == "a watcher" else kept(stack, livekit, placed)
        async with looked_after, Conversation(stack.line, "cut", "caller") as call:
            await call.hear()
            await call.say("My number is 4711.")
            await call.hear()
            (dead,) = slot_locks.owners(worker.slot_directory).values()
            agents = call.agents
            os.kill(dead, signal.SIGKILL)

            async def known_again() -> bool:
                said = str(await redis.hget(session_key("caller"), "said"))
                return "4711" in said and "What was" in said

            async def taken_over() -> bool:
                dispatches = await livekit.agent_dispatch.list_dispatch("cut")
                return any(TAKEOVER_ATTRIBUTE in d.attributes and d.state.jobs for d in dispatches)

            await eventually(taken_over, within=90, what="another job", every=0.2)
            await eventually(lambda: bool(call.agents - agents), within=30, what="it joins", every=0.2)
            await call.hear()  # the new one's greeting
            await call.say("What was my number?")
            await call.hear()
            await eventually(known_again, within=30, what="it knows what was said")
