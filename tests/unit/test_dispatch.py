"""Placing a call: taken at once, taken after others hung up, answered late, or busy."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from agent.runtime import dispatch
from agent.runtime.dispatch import Busy, place_call


class LiveKit:
    """Refuses the first `refusals` attempts; `late` puts the agent into the room instead of the dispatch."""

    def __init__(self, refusals: int, *, late: bool = False) -> None:
        self._refusals = refusals
        self._late = late
        self.open: list[str] = []
        self.attempts = 0
        self.agent_dispatch = self.room = self

    async def create_dispatch(self, _: Any) -> Any:
        self.attempts += 1
        self.open.append(f"dispatch-{self.attempts}")
        return SimpleNamespace(id=self.open[-1])

    async def delete_dispatch(self, dispatch_id: str, _: str) -> None:
        self.open.remove(dispatch_id)

    async def list_dispatch(self, _: str) -> list[Any]:
        taken = self.attempts > self._refusals and not self._late
        # What else is in the room: a dispatch of nobody's, whose job ended.
        jobs = {"other": ["job"], **{mine: ["job"] if taken else [] for mine in self.open}}
        return [SimpleNamespace(id=key, state=SimpleNamespace(jobs=value)) for key, value in jobs.items()]

    async def list_participants(self, _: Any) -> Any:
        there = self._late and self.attempts > self._refusals
        agents = [SimpleNamespace(attributes={"lk.agent.name": "assistant"})] if there else []
        return SimpleNamespace(participants=agents)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(dispatch, "FIRST_PAUSE_SECONDS", 0.001)


async def place(livekit: LiveKit, wait_seconds: float) -> dispatch.Placed:
    return await place_call(
        livekit,  # type: ignore[arg-type]
        agent_name="assistant",
        room="room",
        wait_seconds=wait_seconds,
        answer_seconds=0.01,
    )


async def test_a_call_is_taken_at_once() -> None:
    livekit = LiveKit(refusals=0)
    placed = await place(livekit, 60)
    assert (placed.attempts, placed.dispatch_id) == (1, "dispatch-1")
    assert livekit.open == ["dispatch-1"]


@pytest.mark.parametrize("late", [False, True])
async def test_a_refused_call_is_placed_again_and_the_refused_attempts_withdrawn(late: bool) -> None:
    livekit = LiveKit(refusals=3, late=late)
    placed = await place(livekit, 60)
    assert placed.attempts == 4
    assert livekit.open == ["dispatch-4"]


async def test_busy_is_said_and_nothing_is_left_behind() -> None:
    livekit = LiveKit(refusals=10**9)
    with pytest.raises(Busy, match=r"no worker named 'assistant' took the call in \d+ attempts"):
        await place(livekit, 0.05)
    assert livekit.open == []
    assert livekit.attempts > 1
