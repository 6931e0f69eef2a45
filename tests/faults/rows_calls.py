"""What the world does to a call: lost signalling, a server that restarts, a reload, a caller who vanishes or leaves.

Each fault meets two calls at once, ours and one of a plain AgentServer: never worse.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

from livekit import api

from infra.local.eventually import together
from infra.local.servers import livekit
from tests.faults.calls_bench import IDENTITY, TALKING, Call, Calls, Speaker, caller_process, kill
from tests.faults.patience import eventually
from tests.faults.proxy import Mode, Proxy
from tests.faults.row import SLOT, Row, Seen, Stopwatch
from tests.faults.wrongs import SIGNALLING, TRANSFERS, Point, marked

GOES_ON = "the call goes on"
COMPLETED = "completed"
# An explicit end frees the slot as fast as it did before anybody was waited for.
AT_ONCE_SECONDS = 5.0
# LiveKit misses a client whose process was killed after about 15 s.
MISSED_SECONDS = 40.0

Fault = Callable[[Calls, Call, Call], Awaitable[object]]
Inject = Callable[[Calls], Awaitable[Seen]]


async def _freed(on: Calls, call: Call, how: str, before: dict[str, int], since: Stopwatch) -> float:
    """Wait until the call's slot is free and counted as ended like this; seconds until it was free."""
    worker = on.ours
    await eventually(
        lambda: call.pid not in on.bench.owners(worker).values(), within=AT_ONCE_SECONDS, what="its slot free"
    )
    free = since.seconds
    await _counted(on, how, before)
    return free


async def _counted(on: Calls, how: str, before: dict[str, int]) -> None:
    async def counted() -> bool:
        return await on.ended() == {**before, how: before[how] + 1}

    try:
        await eventually(counted, within=10, what=f"counted as {how}")
    except TimeoutError as error:
        raise TimeoutError(f"{error}: {await on.ended()}, {before} before") from None


def goes_on(fault: Fault, *, metadata: str = "") -> Inject:
    """Two calls with a caller each; the fault; both callers are heard again; only a hang-up ends ours."""

    async def inject(on: Calls) -> Seen:
        before = await on.ended()
        ours, plain = await on.talking(metadata=metadata)
        try:
            since = Stopwatch()
            await fault(on, ours, plain)
            heard, heard_by_plain = await together([ours.speaker.is_heard(), plain.speaker.is_heard()])
            seconds = since.seconds
            assert heard, (
                f"the caller is heard again (the plain one's: {heard_by_plain}; job runs: {ours.runs})"
            )
            assert ours.runs, "the call goes on"
            assert await on.ended() == before, "no call of ours ended"
            lost, back = (marked(on.bench.marks, ours.room, p).exists() for p in (Point.LOST, Point.BACK))
            if lost:
                await on.bench.reached(ours.room, Point.BACK, within=10)
            assert lost or not back, "told that somebody is back whom nobody missed"
            beside = GOES_ON if heard_by_plain and plain.runs else "ended"
            if not metadata:
                since = Stopwatch()
                await ours.speaker.room.disconnect()
                await _freed(on, ours, "hung_up", before, since)
            told = "the agent was told lost and back" if lost else "the agent saw nothing of it"
            return Seen(GOES_ON, {"heard again": seconds}, told, plain=beside)
        finally:
            await on.clear(ours, plain)

    return inject


def ends(fault: Fault, how: str) -> Inject:
    """Two calls with a caller each; the fault ends ours at once."""

    async def inject(on: Calls) -> Seen:
        before = await on.ended()
        ours, plain = await on.talking()
        try:
            since = Stopwatch()
            await fault(on, ours, plain)
            free = await _freed(on, ours, how, before, since)
            assert not marked(on.bench.marks, ours.room, Point.LOST).exists(), "nobody is waited for"
            beside = f"runs on after {since.seconds:.1f} s" if plain.runs else "ended"
            return Seen(COMPLETED, {SLOT: free}, f"counted as {how}", plain=beside)
        finally:
            await on.clear(ours, plain)

    return inject


def signalling_lost(proxy: Callable[[Calls], Proxy], seconds: float) -> Fault:
    async def fault(on: Calls, _: Call, __: Call) -> None:
        await proxy(on).set(Mode.REFUSE)
        await asyncio.sleep(seconds)  # the fault's own length
        await proxy(on).set(Mode.PASS)

    return fault


def server_restarts(seconds: float) -> Fault:
    """The one livekit-server is killed and started again; rooms live in its memory."""

    async def fault(on: Calls, _: Call, __: Call) -> None:
        stack = on.bench.stack
        os.kill(stack.livekit.process.pid, signal.SIGKILL)
        await stack.run.stop(stack.livekit.process)
        await asyncio.sleep(seconds)  # the fault's own length
        stack.livekit = await livekit.start_again(stack.run, stack.livekit)

    return fault


async def second_tab(on: Calls, *calls: Call) -> None:
    """The same identity joins again: what LiveKit sees of a reload whose page did not say goodbye."""
    for call in calls:
        call.speaker = await Speaker().join(on, call.room)


async def hang_up(_: Calls, *calls: Call) -> None:
    await together(call.speaker.room.disconnect() for call in calls)


async def removed(on: Calls, *calls: Call) -> None:
    for call in calls:
        identity = api.RoomParticipantIdentity(room=call.room, identity=IDENTITY)
        await on.bench.livekit.room.remove_participant(identity)


async def deleted(on: Calls, *calls: Call) -> None:
    for call in calls:
        await on.bench.livekit.room.delete_room(api.DeleteRoomRequest(room=call.room))


async def transferred(on: Calls, *calls: Call) -> None:
    """The caller leaves for good; after that, somebody else takes the call over."""
    await hang_up(on, *calls)
    for call in calls:
        call.speaker = await Speaker().join(on, call.room, "colleague")


REJOIN_SECONDS = 4


async def vanished(on: Calls) -> Seen:
    """The caller's process is killed: he is missed after a while, waited for, and given up."""
    waits = {"AGENT_REJOIN_SECONDS": str(REJOIN_SECONDS), SIGNALLING: on.bench.stack.line.url}
    async with on.bench.worker("vanishing", waits, entrypoint=TALKING) as worker:
        before = await on.ended(worker)
        ours, plain = await on.placed(worker)
        try:
            async with caller_process(on, ours) as first, caller_process(on, plain) as second:
                since = Stopwatch()
                for caller in (first, second):
                    kill(caller)
                await on.bench.reached(ours.room, Point.LOST, within=MISSED_SECONDS)
                missed, waited = since.seconds, Stopwatch()
                await eventually(
                    lambda: not on.bench.owners(worker), within=REJOIN_SECONDS + 2, what="its slot free"
                )
                free = waited.seconds
                beside = f"runs on after {since.seconds:.1f} s" if plain.runs else "ended"

                async def counted() -> bool:
                    return await on.ended(worker) == {**before, "lost": before["lost"] + 1}

                await eventually(counted, within=10, what="counted as lost")
            note = f"missed after {missed:.1f} s; its slot free {free:.1f} s later, of which {REJOIN_SECONDS} waited"
            return Seen(COMPLETED, {SLOT: missed + free}, note, plain=beside)
        finally:
            await on.clear(ours, plain)


NOTHING = "a moment of silence; the call goes on"

# LiveKit's clients can be asked to reconnect in full, or to be dropped. That is no row: the agent then leaves its room,
# and livekit-server ends the job of an agent that leaves, unless it is back first; a plain AgentServer's as well.
ROWS: list[Row[Calls]] = [
    # The client finds its way back by a full reconnect: everybody is reported as gone, then as joined.
    Row(
        "the agent's signalling is lost for 0.2 s",
        NOTHING,
        "nothing",
        goes_on(signalling_lost(lambda on: on.agents, 0.2)),
    ),
    Row(
        "the caller's signalling is lost for 0.2 s",
        NOTHING,
        "nothing",
        goes_on(signalling_lost(lambda on: on.callers, 0.2)),
    ),
    Row(
        "livekit-server is killed and back after 0.3 s",
        NOTHING,
        "not ready until registered anew",
        goes_on(server_restarts(0.3)),
    ),
    Row(
        "livekit-server is killed and back after 2 s",
        NOTHING,
        "not ready until registered anew",
        goes_on(server_restarts(2)),
        soak=True,
    ),
    Row(
        "a second tab, a reload (the same identity joins again)",
        "the call goes on in the new tab",
        "nothing",
        goes_on(second_tab),
    ),
    Row(
        "the caller leaves for a transfer (`close_on_disconnect=False`)",
        "the agent stays for the colleague",
        "nothing",
        goes_on(transferred, metadata=TRANSFERS),
    ),
    Row("the caller hangs up", "hung up", "job completed, hung_up", ends(hang_up, "hung_up")),
    Row(
        "the caller is removed through the API", "removed", "job completed, hung_up", ends(removed, "hung_up")
    ),
    Row(
        "the room is deleted through the API",
        "the agent leaves; the call is over",
        "job completed, ended",
        ends(deleted, "ended"),
    ),
    Row(
        "the caller vanishes (SIGKILL of his client)",
        "–",
        "job completed, lost, after AGENT_REJOIN_SECONDS",
        vanished,
        soak=True,
    ),
]
