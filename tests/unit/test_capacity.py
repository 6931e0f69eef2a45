"""A worker takes exactly as many jobs as it has slots, in a burst too, and offers the rest to others."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.runtime import metrics
from agent.runtime.capacity import Capacity


class Request:
    """As much of LiveKit's JobRequest as admission touches: accepting takes a while, then the job is active."""

    def __init__(self, job_id: str, active: set[str]) -> None:
        self.id = job_id
        self._active = active
        self.answer: str | None = None

    async def accept(self) -> None:
        await asyncio.sleep(0)  # the server's assignment, the process's launch
        self._active.add(self.id)
        self.answer = "accepted"

    async def reject(self, *, terminate: bool = True) -> None:
        self.answer = "ended for everybody" if terminate else "offered to others"


@given(slots=st.integers(1, 20), calls=st.integers(0, 100))
async def test_a_burst_fills_every_slot_and_no_more(slots: int, calls: int) -> None:
    active: set[str] = set()
    capacity = Capacity(slots, lambda: active)
    requests = [Request(str(number), active) for number in range(calls)]
    await asyncio.gather(*(capacity.admit(request) for request in requests))  # type: ignore[arg-type]
    answers = [request.answer for request in requests]
    assert answers.count("accepted") == min(slots, calls)
    assert answers.count("offered to others") == max(0, calls - slots)


async def test_a_slot_is_free_again_when_accepting_failed() -> None:
    capacity = Capacity(1, set)

    async def fail(_: Any) -> None:
        raise RuntimeError("assignment timed out")

    with pytest.raises(RuntimeError):
        await capacity.admit(Request("1", set()), fail)  # type: ignore[arg-type]
    assert capacity.taken == 0


async def test_a_job_counts_once_while_it_is_both_pending_and_active() -> None:
    active: set[str] = set()
    capacity = Capacity(2, lambda: active)

    async def launch(request: Any) -> None:
        active.add(request.id)
        assert capacity.taken == 1

    await capacity.admit(Request("1", active), launch)  # type: ignore[arg-type]


@given(slots=st.integers(1, 500), jobs=st.integers(0, 1000))
def test_even_a_full_worker_is_asked_so_that_a_slot_freed_since_its_last_report_is_not_missed(
    slots: int, jobs: int
) -> None:
    active = set(map(str, range(jobs)))
    load = Capacity(slots, lambda: active).load()
    assert 0 <= load < 0.7  # livekit-server's agents.target_load
    assert Capacity(slots, set).load() == 0


@pytest.mark.parametrize("fails", [False, True])
async def test_a_request_that_the_users_hook_does_not_accept_counts_as_rejected(
    fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[str] = []

    class Requests:
        def labels(self, result: str) -> Requests:
            counted.append(result)
            return self

        def inc(self) -> None: ...

    async def refuse(request: Any) -> None:
        if fails:
            raise RuntimeError("no such tenant")
        await request.reject()

    monkeypatch.setattr(metrics, "JOB_REQUESTS", Requests())
    with pytest.raises(RuntimeError) if fails else nullcontext():
        await Capacity(1, set).admit(Request("1", set()), refuse)  # type: ignore[arg-type]
    assert counted == ["rejected"]
