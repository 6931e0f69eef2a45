"""A job ends with its call: at hang-up, when nobody joins, and politely at the time limit."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace
from typing import Any

import pytest
from livekit import rtc
from livekit.agents.job import DEFAULT_PARTICIPANT_KINDS

from agent.runtime.call import CallWatch

LONG = 60.0
CALLER = SimpleNamespace(kind=rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD)
OTHER_AGENT = SimpleNamespace(kind=rtc.ParticipantKind.PARTICIPANT_KIND_AGENT)


class Context:
    """A job's context whose room the test plays."""

    def __init__(self) -> None:
        self.room = rtc.EventEmitter[Any]()
        self.room.remote_participants = {}  # type: ignore[attr-defined]
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def end(self, reason: str) -> None:
        if not self.ended.done():
            self.ended.set_result(reason)


def watch(ctx: Context, **changes: Any) -> CallWatch:
    numbers = {
        "join_timeout_seconds": LONG,
        "max_call_seconds": LONG,
        "goodbye_seconds": 0.05,
        "farewell": None,
    }
    return CallWatch(ctx.room, ctx.end, **(numbers | changes))  # type: ignore[arg-type]


async def test_the_last_caller_to_leave_ends_the_call() -> None:
    ctx = Context()
    call = watch(ctx)
    ctx.room.emit("participant_disconnected", OTHER_AGENT)
    ctx.room.remote_participants = {"second": CALLER}  # type: ignore[attr-defined]
    ctx.room.emit("participant_disconnected", CALLER)
    assert not ctx.ended.done()
    ctx.room.remote_participants = {}  # type: ignore[attr-defined]
    ctx.room.emit("participant_disconnected", CALLER)
    assert await ctx.ended == "caller hung up"
    call.stop()


@pytest.mark.parametrize("kind", DEFAULT_PARTICIPANT_KINDS)
async def test_whoever_can_call_livekit_counts_as_a_caller(kind: Any) -> None:
    ctx = Context()
    watch(ctx).stop()
    ctx.room.emit("participant_disconnected", SimpleNamespace(kind=kind))
    assert await ctx.ended == "caller hung up"


async def test_a_room_that_is_gone_ends_the_call() -> None:
    ctx = Context()
    watch(ctx).stop()
    ctx.room.emit("disconnected", "deleted")
    assert await ctx.ended == "room disconnected"


async def test_a_call_that_nobody_joins_ends() -> None:
    ctx = Context()
    watch(ctx, join_timeout_seconds=0.01)
    assert await ctx.ended == "nobody joined"


async def test_a_caller_who_was_there_first_counts_as_joined() -> None:
    ctx = Context()
    ctx.room.remote_participants = {"first": CALLER}  # type: ignore[attr-defined]
    watch(ctx, join_timeout_seconds=0.01, max_call_seconds=0.05)
    assert await ctx.ended == "max_call_seconds reached"


async def _raise() -> None:
    raise RuntimeError("no model")


async def _cancelled() -> None:
    raise asyncio.CancelledError


async def _stubborn() -> None:
    for _ in range(3):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(LONG)


@pytest.mark.parametrize("farewell", [None, _raise, _cancelled, asyncio.Event().wait, _stubborn])
async def test_the_time_limit_ends_the_call_whatever_the_farewell_does(farewell: Any) -> None:
    ctx = Context()
    watch(ctx, max_call_seconds=0.01, farewell=farewell)
    assert await ctx.ended == "max_call_seconds reached"


async def test_the_farewell_is_said_before_the_end() -> None:
    ctx = Context()

    async def farewell() -> None:
        assert not ctx.ended.done()
        said.set()

    said = asyncio.Event()
    watch(ctx, max_call_seconds=0.01, farewell=farewell)
    await ctx.ended
    assert said.is_set()
