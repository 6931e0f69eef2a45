"""Placing a call: taken at once, taken after others hung up, answered late, or busy."""

from __future__ import annotations

import math
import time
from types import SimpleNamespace
from typing import Any

import pytest
from livekit import api
from livekit.agents.types import ATTRIBUTE_AGENT_NAME

from agent.runtime import dispatch, placing
from agent.runtime.dispatch import Busy, LiveKitUnreachable, place_call


class LiveKit:
    """Refuses the first `refusals` attempts; `late` puts the agent into the room instead of the dispatch."""

    def __init__(self, refusals: int, *, late: bool = False) -> None:
        self._refusals = refusals
        self._late = late
        self.open: dict[str, Any] = {}
        self.agents: list[str] = []
        self.attempts = 0
        self.closed = False
        """Whether the room has gone."""
        self.agent_dispatch = self.room = self

    async def list_rooms(self, _: Any) -> Any:
        return SimpleNamespace(rooms=[] if self.closed else ["room"])

    async def create_dispatch(self, request: Any) -> Any:
        self.attempts += 1
        request = SimpleNamespace(
            id=f"dispatch-{self.attempts}",
            agent_name=request.agent_name,
            deployment=request.deployment,
            attributes=dict(request.attributes),
            state=SimpleNamespace(jobs=[], created_at=time.time_ns()),
        )
        self.open[request.id] = request
        if self._taken and not self._late:
            job = SimpleNamespace(state=SimpleNamespace(started_at=time.time_ns(), participant_identity="a"))
            request.state.jobs.append(job)
        return request

    async def delete_dispatch(self, dispatch_id: str, _: str) -> None:
        del self.open[dispatch_id]

    async def list_dispatch(self, _: str) -> list[Any]:
        # What else is in the room: a dispatch whose job ended long ago.
        ended = SimpleNamespace(state=SimpleNamespace(started_at=1, participant_identity="gone"))
        other = SimpleNamespace(
            id="other",
            agent_name="assistant",
            deployment="",
            attributes={},
            state=SimpleNamespace(jobs=[ended], created_at=1),
        )
        return [other, *self.open.values()]

    async def list_participants(self, _: Any) -> Any:
        identities = [*self.agents, *(["late"] if self._late and self._taken else [])]
        named = {"lk.agent.name": "assistant"}
        return SimpleNamespace(
            participants=[SimpleNamespace(identity=i, attributes=named) for i in identities]
        )

    @property
    def _taken(self) -> bool:
        return self.attempts > self._refusals


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(placing, "FIRST_PAUSE_SECONDS", 0.001)


async def place(livekit: LiveKit, wait_seconds: float, **given: Any) -> dispatch.Placed:
    asked = {"agent_name": "assistant", "room": "room", "answer_seconds": 0.01, **given}
    return await place_call(livekit, wait_seconds=wait_seconds, **asked)  # type: ignore[arg-type]


@pytest.mark.parametrize("late", [False, True])
async def test_a_call_is_taken_at_once(late: bool) -> None:
    livekit = LiveKit(refusals=0, late=late)
    placed = await place(livekit, 60)
    assert (placed.attempts, placed.dispatch_id) == (1, "dispatch-1")
    assert list(livekit.open) == ["dispatch-1"]


async def test_an_agent_that_is_in_the_room_already_is_not_asked_for() -> None:
    livekit = LiveKit(refusals=-1, late=True)
    placed = await place(livekit, 60)
    assert (placed.attempts, placed.dispatch_id, livekit.attempts) == (0, "", 0)


@pytest.mark.parametrize("withdrawn", ["noted", "gone"])
async def test_the_agent_of_a_withdrawn_attempt_is_not_the_one_that_stays(
    withdrawn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two have asked at once, and the agent of the one that is withdrawn was quicker into the room."""
    livekit = LiveKit(refusals=0)
    livekit.agents = ["quicker"]
    for n, identity in enumerate(["stays", "quicker"]):
        await livekit.create_dispatch(
            api.CreateAgentDispatchRequest(
                agent_name="assistant", attributes={placing.CALL_ATTRIBUTE: str(n)}
            )
        )
        livekit.open[f"dispatch-{n + 1}"].state.jobs[0].state.participant_identity = identity
    listed = livekit.list_dispatch

    async def list_then_withdraw(room: str) -> list[Any]:
        seen = await listed(room)
        if "dispatch-2" in livekit.open:
            await livekit.delete_dispatch("dispatch-2", room)
        return seen

    if withdrawn == "gone":
        await livekit.delete_dispatch("dispatch-2", "room")
    monkeypatch.setattr(livekit, "list_dispatch", list_then_withdraw)
    placed = await place(livekit, 60, answer_seconds=1)
    assert (placed.attempts, placed.dispatch_id) == (0, "dispatch-1")


async def test_an_agent_of_another_deployment_is_not_taken_for_it() -> None:
    livekit = LiveKit(refusals=0)
    await livekit.create_dispatch(api.CreateAgentDispatchRequest(agent_name="assistant", deployment="blue"))
    livekit.agents = ["a"]
    placed = await place(livekit, 60)
    assert (placed.attempts, placed.dispatch_id) == (1, "dispatch-2")


async def test_a_refused_call_is_placed_again_and_the_refused_attempts_withdrawn() -> None:
    livekit = LiveKit(refusals=3)
    placed = await place(livekit, 60)
    assert placed.attempts == 4
    assert list(livekit.open) == ["dispatch-4"]


async def test_busy_is_said_and_nothing_is_left_behind() -> None:
    livekit = LiveKit(refusals=10**9)
    with pytest.raises(Busy, match=r"no worker named 'assistant' took the call in \d+ attempts"):
        await place(livekit, 1)
    assert livekit.open == {}
    assert livekit.attempts > 1


@pytest.mark.parametrize("there", [True, False])
async def test_what_went_with_its_room_needs_no_withdrawing(
    there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a room that is not there LiveKit says 503, as it does when it is in trouble itself."""
    monkeypatch.setattr(placing, "WITHDRAW_SECONDS", 0.05)
    livekit = LiveKit(refusals=10**9)

    async def nobody_answers(*_: str) -> None:
        livekit.closed = not there
        raise api.ServerError(api.ServerErrorCode.UNAVAILABLE, "no response from servers", status=503)

    monkeypatch.setattr(livekit, "delete_dispatch", nobody_answers)
    with pytest.raises(LiveKitUnreachable if there else Busy):
        await place(livekit, 0.3)
    withdrawing = [task for task in placing._withdrawing if not task.done()]
    assert bool(withdrawing) == there, "it is tried on where there may be something left"
    for task in withdrawing:
        task.cancel()


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -math.inf, -1, 0])
@pytest.mark.parametrize("name", ["wait_seconds", "answer_seconds"])
async def test_a_time_that_is_none_is_refused(name: str, seconds: float) -> None:
    livekit = LiveKit(refusals=0)
    with pytest.raises(ValueError, match=rf"{name}=.*: accepted: a finite number of seconds above 0"):
        await place_call(livekit, agent_name="assistant", room="room", **{name: seconds})  # type: ignore[arg-type]
    assert livekit.attempts == 0


@pytest.mark.parametrize("room", ["", "x" * 257, "é" * 129])
async def test_a_room_that_nobody_can_join_is_refused(room: str) -> None:
    with pytest.raises(ValueError, match=r"bytes: nobody could join it; accepted: 1 to 256 bytes"):
        await place(LiveKit(refusals=0), 1, room=room)


def test_the_agents_attribute_is_livekits() -> None:
    """Said anew, so that a backend need not import LiveKit's agents."""
    assert placing.AGENT_NAME_ATTRIBUTE == ATTRIBUTE_AGENT_NAME
