"""A job ends with its call: at hang-up, when nobody joins or comes back, and politely at the time limit."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace
from typing import Any

import pytest
from livekit import rtc
from livekit.agents.job import DEFAULT_PARTICIPANT_KINDS

from agent.runtime import call as call_module
from agent.runtime import departures
from agent.runtime.call import CallHooks, CallWatch
from agent.runtime.metrics import Ended

LONG = 60.0
Reason = rtc.DisconnectReason


def participant(
    reason: Any = Reason.CLIENT_INITIATED,
    kind: Any = rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD,
    identity: str = "caller",
) -> Any:
    return SimpleNamespace(kind=kind, disconnect_reason=reason, identity=identity)


CALLER = participant()
OTHER_AGENT = participant(kind=rtc.ParticipantKind.PARTICIPANT_KIND_AGENT)
# Said a second time, in words: LiveKit's own three, removal through the API, SIP's, a closed room.
AT_ONCE = {
    "CLIENT_INITIATED",
    "PARTICIPANT_REMOVED",
    "ROOM_CLOSED",
    "ROOM_DELETED",
    "SIP_TRUNK_FAILURE",
    "USER_REJECTED",
    "USER_UNAVAILABLE",
}
WAITED_FOR = {
    "AGENT_ERROR",
    "CONNECTION_TIMEOUT",
    "DUPLICATE_IDENTITY",
    "JOIN_FAILURE",
    "MEDIA_FAILURE",
    "MIGRATION",
    "SERVER_SHUTDOWN",
    "SIGNAL_CLOSE",
    "STATE_MISMATCH",
    "UNKNOWN_REASON",
}


class Context:
    """A job's context whose room the test plays."""

    def __init__(self) -> None:
        self.room = rtc.EventEmitter[Any]()
        self.room.remote_participants = {}  # type: ignore[attr-defined]
        self.ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()

    def end(self, how: Ended, _: str) -> None:
        if not self.ended.done():
            self.ended.set_result(how)

    def join(self, identity: str = "caller") -> None:
        joined = participant(identity=identity)
        self.room.remote_participants[identity] = joined  # type: ignore[attr-defined]
        self.room.emit("participant_connected", joined)

    def leave(self, reason: Any, identity: str = "caller") -> None:
        self.room.remote_participants.pop(identity, None)  # type: ignore[attr-defined]
        self.room.emit("participant_disconnected", participant(reason, identity=identity))


def watch(ctx: Context, **changes: Any) -> CallWatch:
    numbers = {
        "join_timeout_seconds": LONG,
        "rejoin_seconds": LONG,
        "max_call_seconds": LONG,
        "goodbye_seconds": 0.05,
        "hooks": CallHooks(),
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
    assert await ctx.ended == Ended.HUNG_UP
    call.stop()


@pytest.mark.parametrize("kind", DEFAULT_PARTICIPANT_KINDS)
async def test_whoever_can_call_livekit_counts_as_a_caller(kind: Any) -> None:
    ctx = Context()
    watch(ctx).stop()
    ctx.room.emit("participant_disconnected", participant(kind=kind))
    assert await ctx.ended == Ended.HUNG_UP


async def test_a_room_that_is_gone_ends_the_call() -> None:
    ctx = Context()
    watch(ctx).stop()
    ctx.room.emit("disconnected", Reason.ROOM_DELETED)
    assert await ctx.ended == Ended.ENDED


async def test_a_call_that_nobody_joins_ends() -> None:
    ctx = Context()
    watch(ctx, join_timeout_seconds=0.01)
    assert await ctx.ended == Ended.NOBODY_JOINED


async def test_a_caller_who_was_there_first_counts_as_joined() -> None:
    ctx = Context()
    ctx.room.remote_participants = {"first": CALLER}  # type: ignore[attr-defined]
    watch(ctx, join_timeout_seconds=0.01, max_call_seconds=0.05)
    assert await ctx.ended == Ended.TIME_LIMIT


async def _raise() -> None:
    raise RuntimeError("no model")


async def _cancelled() -> None:
    raise asyncio.CancelledError


async def _stubborn() -> None:
    """Goes on when it is cancelled; the test's own loop, which cancels whatever is left, is not made to wait for it."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(LONG)
    await asyncio.sleep(LONG)


@pytest.mark.parametrize("farewell", [None, _raise, _cancelled, asyncio.Event().wait, _stubborn])
async def test_the_time_limit_ends_the_call_whatever_the_farewell_does(farewell: Any) -> None:
    ctx = Context()
    watch(ctx, max_call_seconds=0.01, hooks=CallHooks(farewell=farewell))
    assert await ctx.ended == Ended.TIME_LIMIT


async def test_the_farewell_is_said_before_the_end() -> None:
    ctx = Context()

    async def farewell() -> None:
        assert not ctx.ended.done()
        said.set()

    said = asyncio.Event()
    watch(ctx, max_call_seconds=0.01, hooks=CallHooks(farewell=farewell))
    await ctx.ended
    assert said.is_set()


def test_every_reason_of_the_sdk_is_decided() -> None:
    assert {departures.name(reason) for reason in departures.ENDS_THE_CALL} == set(Reason.keys())
    assert {name for name in AT_ONCE | WAITED_FOR if departures.ends_the_call(Reason.Value(name))} == AT_ONCE
    assert set(Reason.keys()) == AT_ONCE | WAITED_FOR


def test_a_reason_that_is_newer_than_the_sdk_is_waited_for() -> None:
    assert not departures.ends_the_call(max(Reason.values()) + 1)  # type: ignore[arg-type]
    assert departures.name(99) == "99"  # type: ignore[arg-type]


@pytest.mark.parametrize("reason", sorted(WAITED_FOR))
async def test_a_caller_who_may_be_back_is_waited_for(reason: str) -> None:
    ctx = Context()
    watch(ctx, rejoin_seconds=0.02)
    ctx.leave(Reason.Value(reason))
    assert not ctx.ended.done()
    assert await ctx.ended == Ended.LOST


async def test_a_reload_goes_on_and_the_agent_is_told_in_order() -> None:
    """The one with the same identity joins 1 ms later; both hooks run, the second after the first."""
    ctx = Context()
    told: list[str] = []
    finished = asyncio.Event()

    async def lost() -> None:
        await asyncio.sleep(0.01)
        told.append("lost")

    async def back() -> None:
        told.append("back")
        finished.set()

    call = watch(ctx, rejoin_seconds=0.02, max_call_seconds=0.1, hooks=CallHooks(lost=lost, back=back))
    ctx.leave(Reason.DUPLICATE_IDENTITY)
    ctx.join()
    await finished.wait()
    assert told == ["lost", "back"]
    assert await ctx.ended == Ended.TIME_LIMIT
    call.stop()


async def test_who_vanished_is_waited_for_though_another_hung_up_meanwhile() -> None:
    ctx = Context()
    call = watch(ctx)
    for identity in ("ann", "bob"):
        ctx.join(identity)
    ctx.leave(Reason.DUPLICATE_IDENTITY, "ann")
    ctx.leave(Reason.CLIENT_INITIATED, "bob")
    await asyncio.sleep(0)
    assert not ctx.ended.done(), "ann only reloads"
    ctx.join("ann")
    ctx.leave(Reason.CLIENT_INITIATED, "ann")
    assert await ctx.ended == Ended.HUNG_UP
    call.stop()


async def test_who_vanished_earlier_is_waited_for_no_longer_than_from_then_on() -> None:
    ctx = Context()
    call = watch(ctx, rejoin_seconds=0.05)
    for identity in ("ann", "bob"):
        ctx.join(identity)
    began = asyncio.get_running_loop().time()
    ctx.leave(Reason.SIGNAL_CLOSE, "ann")
    ctx.leave(Reason.CLIENT_INITIATED, "bob")
    assert await ctx.ended == Ended.LOST
    assert asyncio.get_running_loop().time() - began >= 0.05
    call.stop()


async def test_a_hook_that_hangs_does_not_keep_the_next_one_from_running(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(call_module, "HOOK_SECONDS", 0.01)
    ctx, back = Context(), asyncio.Event()

    async def raises() -> None:
        back.set()
        raise RuntimeError("no model")

    watch(ctx, hooks=CallHooks(lost=asyncio.Event().wait, back=raises))  # type: ignore[arg-type]
    ctx.leave(Reason.SIGNAL_CLOSE)
    ctx.join()
    await back.wait()
    assert not ctx.ended.done()
    ctx.leave(Reason.CLIENT_INITIATED)
    assert await ctx.ended == Ended.HUNG_UP


async def test_who_is_waited_for_does_not_count_as_nobody_joined() -> None:
    ctx = Context()
    watch(ctx, join_timeout_seconds=0.01, rejoin_seconds=0.05)
    ctx.leave(Reason.UNKNOWN_REASON)  # was there before the job, and raised no event of joining
    assert await ctx.ended == Ended.LOST


async def test_a_job_that_is_reconnecting_waits_before_it_says_that_nobody_joined() -> None:
    ctx = Context()
    watch(ctx, join_timeout_seconds=0.01, max_call_seconds=0.05)
    ctx.room.emit("reconnecting")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(ctx.ended), 0.03)
    ctx.join()
    ctx.room.emit("reconnected")
    assert await ctx.ended == Ended.TIME_LIMIT


@pytest.mark.parametrize(
    ("reason", "waited_for", "how"),
    [
        (Reason.ROOM_CLOSED, True, Ended.LOST),
        (Reason.ROOM_CLOSED, False, Ended.HUNG_UP),
        (Reason.CLIENT_INITIATED, False, Ended.ENDED),
        (Reason.SIGNAL_CLOSE, False, Ended.DISCONNECTED),
        (None, False, Ended.DISCONNECTED),
    ],
)
async def test_how_a_room_that_ended_is_counted(reason: Any, waited_for: bool, how: Ended) -> None:
    ctx = Context()
    watch(ctx)
    if waited_for:
        ctx.leave(Reason.CONNECTION_TIMEOUT)
    ctx.room.emit("disconnected", reason)
    assert await ctx.ended == how


@pytest.mark.parametrize("reason", [Reason.CLIENT_INITIATED, Reason.SIGNAL_CLOSE])
async def test_where_only_the_entrypoint_ends_the_call_no_departure_does(reason: Any) -> None:
    ctx = Context()
    watch(ctx, rejoin_seconds=0.01, max_call_seconds=0.05, close_on_disconnect=lambda: False)
    ctx.leave(reason)
    assert await ctx.ended == Ended.TIME_LIMIT
