"""A worker without LiveKit's control connection for longer than its own 16 attempts, with a call that goes on."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable

from infra.local.eventually import together
from infra.local.ports import LOOPBACK
from infra.local.process import Process
from infra.local.run import Run
from infra.local.servers import livekit
from tests.faults.bench import START_SECONDS, Bench
from tests.faults.calls_bench import Call, Calls, calls
from tests.faults.patience import eventually
from tests.faults.proxy import Mode
from tests.faults.row import PROCESS, Row, Seen, Stopwatch
from tests.faults.rows_common import log, log_of
from tests.faults.wrongs import Point

GOES_ON = "the call goes on"
# One more than LiveKit makes.
ATTEMPTS = 18
# Its 131 s of pauses in 3.
HASTE = 40.0
OUTAGE_SECONDS = 240.0

Lose = Callable[[Calls], Awaitable[None]]
Inject = Callable[[Bench], Awaitable[Seen]]


def _attempts(text: str) -> int:
    return text.count("failed to connect to livekit, retrying")


async def _status(on: Calls, port: int, path: str) -> int:
    async with on.bench.http.get(f"http://{LOOPBACK}:{port}{path}") as response:
        return response.status


async def _given_up(on: Calls) -> None:
    """Wait until ours has tried more often than a plain worker does, whose run() has ended by then."""
    await eventually(lambda: _attempts(log(on.ours)) >= ATTEMPTS, within=240, what=f"{ATTEMPTS} attempts")
    assert await _status(on, on.ours.http_port, "/ready") == 503, "not ready"
    assert await _status(on, on.ours.http_port, "/live") == 200, "alive"


async def _ready_again(on: Calls) -> float:
    since = Stopwatch()

    async def ready() -> bool:
        return await on.bench.ready(on.ours) == 200

    await eventually(ready, within=30, what="ready again")
    return since.seconds


async def _next_call(on: Calls) -> None:
    room = f"{on.ours.name}-next"
    await on.bench.dispatch(on.ours.name, room)
    await on.bench.reached(room, Point.IN_THE_CALL, within=START_SECONDS)
    await on.bench.hang_up(room)


async def _beside(on: Calls, plain: Call) -> str:
    heard = await plain.speaker.is_heard(within=5)
    registered = log_of(on.plain).count("registered worker") > 1
    alive = await _status(on, on.plain_port, "/") if on.plain.alive else "gone"
    return (
        f"{GOES_ON if heard else 'cut off'}; `/` {alive}; registers again: {'yes' if registered else 'never'}"
    )


async def refused(on: Calls) -> None:
    await on.control.set(Mode.REFUSE)


def registration_lost(name: str, outage: Callable[[Calls], Awaitable[None]], haste: float) -> Inject:
    """Until both have made all of LiveKit's attempts; the call goes on, and the worker takes calls again after it."""

    async def inject(bench: Bench) -> Seen:
        async with calls(bench, name, haste) as on:
            ours, plain = await on.talking()
            await outage(on)
            assert await ours.speaker.is_heard(), "the call goes on"
            await on.control.set(Mode.PASS)
            again = await _ready_again(on)
            await _next_call(on)
            beside = await _beside(on, plain)
            assert await ours.speaker.is_heard(), "the call goes on"
            assert (await on.ended())["hung_up"] == 0
            attempts = _attempts(log(on.ours))
            await on.clear(ours, plain)
        note = f"{attempts} attempts; `/live` 200, `/ready` 503 meanwhile; the next call worked"
        return Seen(GOES_ON, {"ready again": again}, note, plain=beside)

    return inject


async def attempts_refused(on: Calls) -> None:
    await on.control.set(Mode.REFUSE)
    await _given_up(on)


async def key_refused(on: Calls) -> None:
    """What answers is a livekit-server that knows another key."""
    stack = on.bench.stack
    async with Run("test-rotated", stack.run.output / on.ours.name) as run:
        rotated = await livekit.start(run)
        on.control.target = rotated.port
        await on.control.set(Mode.REFUSE)
        await on.control.set(Mode.PASS)
        await _given_up(on)
        assert "401" in log(on.ours), "it says why"
        await on.control.set(Mode.REFUSE)
        on.control.target = stack.livekit.port


async def four_minutes(on: Calls) -> None:
    since = Stopwatch()
    await on.control.set(Mode.REFUSE)
    await eventually(lambda: since.seconds >= OUTAGE_SECONDS, within=OUTAGE_SECONDS + 10, what="4 minutes")
    await _given_up(on)


async def drained_while_disconnected(bench: Bench) -> Seen:
    """SIGTERM while LiveKit is gone: the call goes on, the worker ends with it."""
    async with calls(bench, "control-drained", HASTE) as on:
        ours, plain = await on.talking()
        await attempts_refused(on)
        for process in (on.ours.process, on.plain):
            process.terminate()
        await eventually(lambda: "draining worker" in log(on.ours), within=10, what="the drain")
        heard, heard_by_plain = await together([ours.speaker.is_heard(), plain.speaker.is_heard(within=5)])
        assert heard, "the call goes on"
        since = Stopwatch()
        await ours.speaker.room.disconnect()
        status = await _gone(on, on.ours.process)
        seconds = since.seconds
        assert status == 0, on.ours.process.last_lines()
        await plain.speaker.room.disconnect()
        beside = f"{GOES_ON if heard_by_plain else 'cut off'}; exit status {await _gone(on, on.plain)}"
    return Seen("exit status 0", {PROCESS: seconds}, "counted from the hang-up", plain=beside)


async def _gone(on: Calls, process: Process) -> int:
    assert await process.exited(within=90), process.last_lines()
    return await on.bench.stack.run.stop(process)


async def livekit_gone(bench: Bench) -> Seen:
    """The server is killed, its media with it, for 4 minutes: longer than any client tries."""
    stack = bench.stack
    async with calls(bench, "control-gone") as on:
        ours, plain = await on.talking()
        os.kill(stack.livekit.process.pid, signal.SIGKILL)
        await stack.run.stop(stack.livekit.process)
        since = Stopwatch()
        await eventually(lambda: not ours.runs, within=OUTAGE_SECONDS, what="the call given up")
        ended = since.seconds
        await eventually(
            lambda: since.seconds >= OUTAGE_SECONDS, within=OUTAGE_SECONDS + 10, what="4 minutes"
        )
        await _given_up(on)
        stack.livekit = await livekit.start_again(stack.run, stack.livekit)
        again = await _ready_again(on)
        await _next_call(on)
        beside = await _beside(on, plain)
        how = {how: n for how, n in (await on.ended()).items() if n}
        await on.clear(ours, plain)
    return Seen(
        "completed", {"ready again": again, "the call given up": ended}, f"counted as {how}", plain=beside
    )


UNREADY = "not ready; alive; ready again once LiveKit is back"

ROWS: list[Row[Bench]] = [
    Row(
        "LiveKit's control connection is refused for more than its 16 attempts (pauses divided by 40)",
        "nothing: the call goes on",
        UNREADY,
        registration_lost("control-lost", attempts_refused, HASTE),
    ),
    Row(
        "the worker's key is refused (401) for more than 16 attempts (pauses divided by 40)",
        "nothing: the call goes on",
        UNREADY + "; 401 in the log, once an attempt",
        registration_lost("control-key", key_refused, HASTE),
    ),
    Row(
        "SIGTERM while LiveKit's control connection is gone",
        "nothing: the call goes on",
        "exit 0 after the call",
        drained_while_disconnected,
    ),
    Row(
        "LiveKit's control connection is gone for 4 minutes",
        "nothing: the call goes on",
        UNREADY,
        registration_lost("control-minutes", four_minutes, 1),
        soak=True,
    ),
    Row(
        "LiveKit is gone for 4 minutes, with its media",
        "silence, then the line is dead",
        UNREADY + "; jobs end when their clients give up",
        livekit_gone,
        soak=True,
    ),
]
