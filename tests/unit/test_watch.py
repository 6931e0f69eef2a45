"""Which absence is a death: of an agent whose dispatch and caller are still there, once it is sure."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from livekit import api
from livekit.protocol.agent import JobStatus, JobType

from agent.runtime import watch
from agent.runtime.dispatch import Placed
from agent.runtime.placing import CALL_ATTRIBUTE, TAKEOVER_ATTRIBUTE
from agent.runtime.watch import Watcher, keep_agent
from infra.local.eventually import eventually

CALLER = SimpleNamespace(identity="caller", kind=api.ParticipantInfo.STANDARD)
AGENT = SimpleNamespace(identity="agent", kind=api.ParticipantInfo.AGENT)
EGRESS = SimpleNamespace(identity="egress", kind=api.ParticipantInfo.EGRESS)


@dataclass
class LiveKit:
    """One room, whose dispatch may be deleted once."""

    there: list[Any]
    attributes: dict[str, str] = field(default_factory=dict)
    name: str = "assistant"
    status: int = JobStatus.JS_RUNNING
    open: bool = True

    def __post_init__(self) -> None:
        self.agent_dispatch = self.room = self

    async def list_rooms(self, _: Any) -> Any:
        return SimpleNamespace(rooms=["room"] if self.there else [])

    async def list_participants(self, _: Any) -> Any:
        return SimpleNamespace(participants=self.there)

    async def list_dispatch(self, _: str) -> list[Any]:
        state = SimpleNamespace(status=self.status, participant_identity="agent")
        job = SimpleNamespace(id="AJ_1", type=JobType.JT_ROOM, state=state)
        dispatch = SimpleNamespace(
            id="AD_1",
            agent_name=self.name,
            metadata="who",
            deployment="blue",
            attributes=self.attributes,
            state=SimpleNamespace(jobs=[job]),
        )
        return [dispatch] if self.open else []

    async def delete_dispatch(self, *_: str) -> None:
        await asyncio.sleep(0)
        if not self.open:
            raise api.ServerError(api.ServerErrorCode.NOT_FOUND, "", status=404)
        self.open = False


@pytest.fixture(autouse=True)
def placed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = []

    async def place_call(_: Any, **asked: Any) -> Any:
        calls.append(asked)
        return SimpleNamespace(waited_seconds=0.1)

    monkeypatch.setattr(watch, "place_call", place_call)
    monkeypatch.setattr(watch, "CONFIRM_SECONDS", 0)
    return calls


async def look(*watchers: Watcher) -> None:
    for watcher in watchers:
        await watcher.look(["room"])
    await asyncio.gather(*(task for watcher in watchers for task in watcher._taking))


def watcher(livekit: LiveKit) -> Watcher:
    return Watcher(livekit, "assistant")  # type: ignore[arg-type]


async def died(livekit: LiveKit, *watchers: Watcher) -> None:
    """All saw the agent, which is gone at their next look."""
    there, livekit.there = livekit.there, [*livekit.there, AGENT]
    await look(*watchers)
    livekit.there = there
    await look(*watchers)


async def test_a_job_that_died_is_placed_again_with_what_it_was_placed_with(
    placed: list[dict[str, Any]],
) -> None:
    livekit = LiveKit([CALLER], {"language": "de", CALL_ATTRIBUTE: "of its own"})
    await died(livekit, watcher(livekit))
    asked = {"agent_name": "assistant", "room": "room", "metadata": "who", "deployment": "blue"}
    attributes = {"language": "de", TAKEOVER_ATTRIBUTE: "AJ_1"}
    assert placed == [{**asked, "attributes": attributes, "wait_seconds": 60.0}]
    assert not livekit.open, "the dead job's dispatch is gone: were it alive after all, it would end"


async def test_two_watchers_place_one(placed: list[dict[str, Any]]) -> None:
    livekit = LiveKit([CALLER])
    await died(livekit, *(watcher(livekit) for _ in range(2)))
    assert len(placed) == 1


@pytest.mark.parametrize(
    "livekit",
    [
        LiveKit([]),
        LiveKit([EGRESS]),
        LiveKit([CALLER], name="another"),
        LiveKit([CALLER], status=JobStatus.JS_SUCCESS),
        LiveKit([CALLER], open=False),
        LiveKit([CALLER], {TAKEOVER_ATTRIBUTE: "AJ_0"}),
    ],
    ids=["no caller", "a recorder is none", "another agent", "turned away", "ended on purpose", "the second"],
)
async def test_nobody_is_placed_where_nobody_is_wanted(
    livekit: LiveKit, placed: list[dict[str, Any]]
) -> None:
    one = watcher(livekit)
    await died(livekit, one)
    await look(one)
    assert placed == []


async def test_an_agent_that_reconnects_or_has_not_come_yet_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, placed: list[dict[str, Any]]
) -> None:
    livekit = LiveKit([CALLER])
    one = watcher(livekit)
    await look(one)
    await look(one)
    assert placed == [], "it may still be starting"
    monkeypatch.setattr(watch, "CONFIRM_SECONDS", 60)
    await died(livekit, one)
    assert placed == [], "it may reconnect"
    monkeypatch.setattr(watch, "STARTING_SECONDS", 0)
    never_came = watcher(livekit)
    await look(never_came)
    assert len(placed) == 1, "it died before it came"


async def test_a_livekit_that_does_not_answer_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, placed: list[dict[str, Any]]
) -> None:
    livekit = LiveKit([CALLER])
    one = watcher(livekit)

    async def fails(*_: str) -> None:
        raise TimeoutError

    with monkeypatch.context() as broken:
        broken.setattr(livekit, "delete_dispatch", fails)
        await died(livekit, one)
        assert placed == []
    await look(one)
    assert len(placed) == 1


async def test_a_room_that_livekit_does_not_answer_about_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch, placed: list[dict[str, Any]]
) -> None:
    """Asked about a room that has just closed, LiveKit says that nobody answers; in a busy fleet one always has."""
    livekit = LiveKit([CALLER, AGENT])
    one, answer = watcher(livekit), livekit.list_participants
    await one.look(["room", "another"])

    async def closed(asked: Any) -> Any:
        if asked.room == "another":
            raise api.ServerError(api.ServerErrorCode.UNAVAILABLE, "no response from servers", status=503)
        return await answer(asked)

    monkeypatch.setattr(livekit, "list_participants", closed)
    livekit.there = [CALLER]
    await one.look(["another", "room"])
    await asyncio.gather(*one._taking)
    assert [asked["room"] for asked in placed] == ["room"]
    assert ("another", "AJ_1") in one._seen, "not forgotten meanwhile"
    with pytest.raises(api.ServerError):
        await one.look(["another"])
    await one.look(["room"])
    assert not {*one._seen, *one._given_up}, "nothing is kept of rooms that are gone"


async def test_a_backend_keeps_its_own_call_until_the_room_is_closed(
    monkeypatch: pytest.MonkeyPatch, placed: list[dict[str, Any]]
) -> None:
    monkeypatch.setattr(watch, "EVERY_SECONDS", 0)
    livekit, looks = LiveKit([CALLER, AGENT]), 0
    list_rooms = livekit.list_rooms

    async def in_trouble_at_first(asked: Any) -> Any:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise TimeoutError
        return await list_rooms(asked)

    monkeypatch.setattr(livekit, "list_rooms", in_trouble_at_first)
    call = Placed("room", "AD_1", 1, 0.1)
    keeping = asyncio.create_task(keep_agent(livekit, call, agent_name="assistant"))  # type: ignore[arg-type]
    await eventually(lambda: looks > 3, within=5, what="looked at more than once", every=0.01)
    assert placed == []
    livekit.there = [CALLER]
    await eventually(lambda: len(placed) == 1, within=5, what="placed again", every=0.01)
    seen = looks
    await eventually(lambda: looks > seen + 3, within=5, what="looked at further", every=0.01)
    livekit.there = []
    assert await keeping == 1
    assert len(placed) == 1
