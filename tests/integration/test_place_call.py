"""`place_call` on a real livekit-server: what it asks for it gets once, in time, or not at all."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
from livekit import api

from agent.runtime.dispatch import Busy, LiveKitUnreachable, place_call
from infra.local import slot_locks
from infra.local import stack as stacks
from infra.local import worker as workers
from infra.local.__main__ import STACK_FILE, solved
from infra.local.eventually import eventually
from infra.local.run import Run
from infra.local.worker import Worker

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(400),
    pytest.mark.asyncio(loop_scope="module"),
]

NAME = "placed"
SLOTS = 8


@dataclass
class Phone:
    """One worker, and LiveKit's API."""

    stack: stacks.Stack
    livekit: api.LiveKitAPI
    worker: Worker
    marks: Path

    async def agents(self, room: str) -> int:
        there = await self.livekit.room.list_participants(api.ListParticipantsRequest(room=room))
        return len(there.participants)

    async def dispatches(self, room: str) -> int:
        """Those with a name; livekit-server adds one without to every room that it makes."""
        try:
            there = await self.livekit.agent_dispatch.list_dispatch(room) if await self.exists(room) else []
        except api.ServerError:
            # What LiveKit says, after seconds, of a room that has gone meanwhile: 503.
            assert not await self.exists(room)
            return 0
        return sum(bool(dispatch.agent_name) for dispatch in there)

    async def exists(self, room: str) -> bool:
        return bool((await self.livekit.room.list_rooms(api.ListRoomsRequest(names=[room]))).rooms)

    @property
    def slots_held(self) -> int:
        return len(slot_locks.owners(self.worker.slot_directory))

    async def hang_up(self, *rooms: str) -> None:
        """End these calls, once their agents are connected: a room deleted before holds the slot for 45 s."""

        async def talking(room: str) -> bool:
            request = api.ListParticipantsRequest(room=room)
            there = (await self.livekit.room.list_participants(request)).participants
            return bool(there) and all(p.state == api.ParticipantInfo.ACTIVE for p in there)

        for room in rooms:
            await eventually(partial(talking, room), within=60, what=f"an agent connected to {room}")
            await self.livekit.room.delete_room(api.DeleteRoomRequest(room=room))
        await eventually(lambda: self.slots_held == 0, within=60, what="every slot free")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def phone(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Phone]:
    solution, _ = solved(STACK_FILE, workers=1, slots=SLOTS)
    marks = tmp_path_factory.mktemp("marks")
    own = {"OPTIONED_MARKS": str(marks), "OPTIONED_SLOW": str(marks / "slow"), "AGENT_NAME": NAME}
    async with (
        Run("test-place-call", tmp_path_factory.mktemp("placed")) as run,
        stacks.running(run, solution, workers=0, say=lambda _: None) as stack,
        stack.line.api() as livekit,
    ):
        environment = {**stack.environment, **own, "LIVEKIT_AGENT_DEPLOYMENT": "blue"}
        agent = Path("tests/integration/agents/optioned.py")
        worker = await workers.start(run, NAME, environment, entrypoint=agent)
        phone = Phone(stack, livekit, worker, marks)
        # The first call after a worker registered waits 5 s for livekit-server.
        await place(phone, "warm")
        await phone.hang_up("warm")
        yield phone


async def place(phone: Phone, room: str, wait_seconds: float = 30) -> str:
    placed = await place_call(
        phone.livekit, agent_name=NAME, room=room, deployment="blue", wait_seconds=wait_seconds
    )
    return placed.dispatch_id


async def test_cancelled_while_it_rings_nothing_is_left(phone: Phone) -> None:
    rooms = [f"cancelled-{n}" for n in range(20)]
    for room in rooms:
        placing = asyncio.create_task(place(phone, room))
        await asyncio.sleep(random.uniform(0.005, 0.3))
        placing.cancel()
        await asyncio.gather(placing, return_exceptions=True)
        if not placing.cancelled():  # quicker than the cancel
            await phone.hang_up(room)

    async def gone() -> bool:
        left = [(await phone.agents(room), await phone.dispatches(room)) for room in rooms]
        return phone.slots_held == 0 and not any(agents or dispatches for agents, dispatches in left)

    # Far below AGENT_JOIN_TIMEOUT_SECONDS (60), which would free them as well.
    await eventually(gone, within=30, what="no agent, no dispatch, every slot free", every=0.5)


async def test_one_agent_comes_however_often_it_is_asked_for(phone: Phone) -> None:
    first = await place(phone, "same")
    assert [await place(phone, "same"), await place(phone, "same")] == [first, first]
    at_once = await asyncio.gather(*(place(phone, "at-once") for _ in range(3)))
    assert len(set(at_once)) == 1
    for room in ("same", "at-once"):

        async def one(room: str = room) -> bool:
            return (await phone.agents(room), await phone.dispatches(room)) == (1, 1)

        await eventually(one, within=30, what=f"one agent in {room}")
    # A job whose dispatch was withdrawn has left its room, and then its slot.
    await eventually(lambda: phone.slots_held == 2, within=30, what="a slot for each room")
    await phone.hang_up("same", "at-once")
    again = await place(phone, "same")
    assert again != first, "whose agent has left is asked for anew"
    await phone.hang_up("same")


async def test_the_deployment_and_the_attributes_reach_the_job(phone: Phone) -> None:
    await place_call(
        phone.livekit, agent_name=NAME, room="told", deployment="blue", attributes={"language": "de"}
    )
    mark = phone.marks / "told."
    await eventually(lambda: mark.exists() and mark.read_text() != "", within=30, what="the job")
    assert mark.read_text() == "blue de"
    await phone.hang_up("told")
    with pytest.raises(Busy, match=f"no worker named '{NAME}' of deployment 'green' took the call"):
        await place_call(phone.livekit, agent_name=NAME, room="green", deployment="green", wait_seconds=1)
    assert await phone.dispatches("green") == 0


async def test_the_time_given_is_the_time_taken(phone: Phone) -> None:
    began = time.monotonic()
    with pytest.raises(Busy, match="in 1 attempts over 3 s"):
        await place_call(phone.livekit, agent_name="nobody", room="nobody", wait_seconds=3)
    assert 3 <= time.monotonic() - began < 4.5
    assert await phone.dispatches("nobody") == 0


async def test_a_livekit_that_hangs_is_waited_for_no_longer_and_what_was_asked_is_withdrawn(
    phone: Phone,
) -> None:
    server = next(p for p in phone.stack.run.processes if "livekit" in p.name)
    await phone.livekit.room.create_room(api.CreateRoomRequest(name="hangs"))
    os.kill(server.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(LiveKitUnreachable, match="LiveKit did not answer within 2 s"):
            await place(phone, "hangs", wait_seconds=2)
        assert time.monotonic() - began < 5.5
    finally:
        os.kill(server.pid, signal.SIGCONT)

    async def gone() -> bool:
        return await phone.dispatches("hangs") == 0 and phone.slots_held == 0

    await eventually(gone, within=30, what="nothing left of it", every=0.5)


async def test_a_livekit_that_is_not_there_is_told_as_such() -> None:
    async with api.LiveKitAPI("http://127.0.0.1:9", "key", "secret" * 6) as nowhere:
        with pytest.raises(LiveKitUnreachable, match=r"within 1 s; at last: ClientConnectorError"):
            await place_call(nowhere, agent_name=NAME, room="room", wait_seconds=1)


async def test_wrong_keys_are_livekits_own_error_at_once(phone: Phone) -> None:
    async with api.LiveKitAPI(phone.stack.line.url, "key", "secret" * 6) as stranger:
        with pytest.raises(api.ServerError) as refused:
            await place_call(stranger, agent_name=NAME, room="room")
        assert refused.value.status == 401
