"""A lifespan is entered and left by one task, closes in reverse order, and never outlives its deadline."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import pytest
from prometheus_client import REGISTRY

from agent.runtime import lifespan
from agent.runtime.datastores.base import Connections, opened
from agent.runtime.datastores.together import together
from agent.runtime.errors import CancelledFromWithin, DatastoreUnavailable, LifespanError
from agent.runtime.lifespan import LifespanOwner, result_of
from agent.runtime.scope import Scope
from infra.local.eventually import eventually

SECOND = 5.0  # longer than anything here takes


class Store:
    """A datastore that notes what happens to it."""

    def __init__(self, name: str, log: list[str], *, hang: str = "", fail: str = "") -> None:
        self.name = name
        self._log = log
        self._hang = hang
        self._fail = fail

    async def _do(self, what: str) -> None:
        self._log.append(f"{what} {self.name}")
        if self._hang == what:
            await asyncio.Event().wait()
        if self._fail == what:
            raise ConnectionError("refused")

    async def open(self) -> None:
        await self._do("open")

    async def close(self) -> None:
        await self._do("close")

    def connections(self) -> Connections:
        return Connections()


def owner_of(
    manager: Callable[[], AbstractAsyncContextManager[object]],
    close_timeout: float = 0.2,
    on_death: Callable[[], None] = lambda: None,
) -> LifespanOwner[object]:
    return LifespanOwner(manager, Scope("job", close_timeout), on_death)


def two_stores(log: list[str], **second: str) -> Callable[[], AbstractAsyncContextManager[str]]:
    @asynccontextmanager
    async def manager() -> AsyncIterator[str]:
        async with opened(Store("a", log)), opened(Store("b", log, **second)):
            yield "state"

    return manager


async def test_closes_in_reverse_order_and_once() -> None:
    log: list[str] = []
    owner = owner_of(two_stores(log))
    assert await owner.open(SECOND) == "state"
    assert all(await asyncio.gather(owner.close(), owner.close()))
    assert log == ["open a", "open b", "close b", "close a"]


@pytest.mark.parametrize("trouble", [{"hang": "close"}, {"fail": "close"}])
async def test_a_close_that_hangs_or_raises_does_not_keep_the_other_open(trouble: dict[str, str]) -> None:
    log: list[str] = []
    owner = owner_of(two_stores(log, **trouble))
    await owner.open(SECOND)
    assert await owner.close()
    assert log[-1] == "close a"


async def test_a_failed_open_closes_what_was_open_and_names_the_datastore() -> None:
    log: list[str] = []
    owner = owner_of(two_stores(log, fail="open"))
    with pytest.raises(DatastoreUnavailable, match=r"b could not be opened .* ConnectionError: refused"):
        await owner.open(SECOND)
    assert log == ["open a", "open b", "close b", "close a"]


async def test_an_open_that_takes_too_long_is_given_up_and_closed() -> None:
    log: list[str] = []
    owner = owner_of(two_stores(log, hang="open"))
    with pytest.raises(DatastoreUnavailable, match=r"not open within 0.01 s \(open: a; still opening: b\)"):
        await owner.open(0.01)
    assert log[-2:] == ["close b", "close a"]


def failures(name: str) -> float:
    return REGISTRY.get_sample_value("agent_datastore_open_failures_total", {"datastore": name}) or 0.0


async def test_a_failed_open_is_counted_for_the_datastore_that_failed_alone() -> None:
    log: list[str] = []

    def both(**trouble: dict[str, str]) -> Callable[[], AbstractAsyncContextManager[object]]:
        stores = [opened(Store(name, log, **how)) for name, how in trouble.items()]
        return lambda: together(*stores)

    with pytest.raises(DatastoreUnavailable, match="blamed could not be opened"):
        await owner_of(both(blamed={"fail": "open"}, cancelled={"hang": "open"})).open(SECOND)
    assert (failures("blamed"), failures("cancelled")) == (1, 0)
    with pytest.raises(DatastoreUnavailable, match="still opening: too-late"):
        await owner_of(both(**{"in-time": {}, "too-late": {"hang": "open"}})).open(0.05)
    assert (failures("in-time"), failures("too-late")) == (0, 1)
    opening = asyncio.create_task(owner_of(both(hung_up={"hang": "open"})).open(SECOND))
    await eventually(lambda: "open hung_up" in log, within=SECOND, what="its open", every=0)
    opening.cancel()
    await asyncio.wait({opening})
    assert failures("hung_up") == 0


async def test_a_shutdown_during_open_closes_what_was_open() -> None:
    log: list[str] = []
    owner = owner_of(two_stores(log, hang="open"))
    opening = asyncio.create_task(owner.open(SECOND))
    await eventually(lambda: "open b" in log, within=SECOND, what="the second store's open", every=0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert log[-2:] == ["close b", "close a"]


async def test_a_close_that_ignores_its_cancel_does_not_hold_up_the_others() -> None:
    log: list[str] = []
    stop = asyncio.Event()

    class Stubborn(Store):
        async def close(self) -> None:
            while not stop.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await stop.wait()

    @asynccontextmanager
    async def manager() -> AsyncIterator[None]:
        async with opened(Store("a", log)), opened(Stubborn("b", log)):
            yield

    owner = owner_of(manager)
    await owner.open(SECOND)
    assert await owner.close()
    assert log[-1] == "close a"
    stop.set()


async def test_each_of_many_hanging_closes_gets_its_turn() -> None:
    log: list[str] = []

    @asynccontextmanager
    async def manager() -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for name in "abcd":
                await stack.enter_async_context(opened(Store(name, log, hang="close")))
            yield

    owner = owner_of(manager, close_timeout=1.0)
    await owner.open(SECOND)
    assert await owner.close()
    assert log[-4:] == ["close d", "close c", "close b", "close a"]
    assert not owner.failed


async def test_a_lifespan_that_dies_in_mid_call_says_so_at_once() -> None:
    log: list[str] = []
    died = asyncio.Event()
    trouble = asyncio.Event()

    async def background() -> None:
        await trouble.wait()
        raise RuntimeError("lost its subscription")

    @asynccontextmanager
    async def manager() -> AsyncIterator[None]:
        async with opened(Store("a", log)), asyncio.TaskGroup() as group:
            group.create_task(background())
            yield

    owner = owner_of(manager, on_death=died.set)
    await owner.open(SECOND)
    trouble.set()
    await asyncio.wait_for(died.wait(), SECOND)
    assert log[-1] == "close a"
    assert owner.failed
    assert await owner.close()


async def test_a_cancel_that_nobody_asked_for_is_an_error() -> None:
    async def cancels_itself() -> None:
        raise asyncio.CancelledError

    @asynccontextmanager
    async def manager() -> AsyncIterator[None]:
        await cancels_itself()
        yield

    with pytest.raises(CancelledFromWithin, match="job-lifespan was cancelled by something it ran itself"):
        await owner_of(manager).open(SECOND)
    owner = owner_of(two_stores([]))
    await owner.open(SECOND)
    with pytest.raises(CancelledFromWithin):
        await result_of(owner.start(cancels_itself()))
    await owner.close()


async def test_a_lifespan_that_cannot_be_left_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifespan, "UNWIND_SECONDS", 0.01)
    release = asyncio.Event()

    @asynccontextmanager
    async def stubborn() -> AsyncIterator[None]:
        yield
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    owner = owner_of(stubborn)
    await owner.open(SECOND)
    assert not await owner.close()
    release.set()
    assert await owner.close()


async def test_task_groups_and_context_variables_work_around_yield() -> None:
    tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant")
    beats: list[int] = []

    @asynccontextmanager
    async def manager() -> AsyncIterator[None]:
        async def heart() -> None:
            while True:
                beats.append(1)
                await asyncio.sleep(0)

        token = tenant.set("acme")
        async with asyncio.TaskGroup() as group:
            task = group.create_task(heart())
            yield
            task.cancel()
        tenant.reset(token)

    async def entrypoint() -> str:
        return tenant.get()

    owner = owner_of(manager)
    await owner.open(SECOND)
    assert await result_of(owner.start(entrypoint())) == "acme"
    # Closed from another task, as LiveKit does.
    assert await asyncio.create_task(owner.close())
    assert beats


async def test_cancelling_the_caller_cancels_what_it_runs() -> None:
    owner = owner_of(two_stores([]))
    await owner.open(SECOND)
    cancelled = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    running = asyncio.create_task(result_of(owner.start(work())))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert cancelled.is_set()
    await owner.close()


async def test_what_loses_its_cancel_is_left_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lifespan, "PATIENCE_SECONDS", 0.01)
    owner = owner_of(two_stores([]))
    await owner.open(SECOND)
    begun, release = asyncio.Event(), asyncio.Event()

    async def loses_it() -> None:
        begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await release.wait()
        await release.wait()

    running = asyncio.create_task(result_of(owner.start(loses_it())))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert "after its cancel: left behind" in caplog.text
    assert await owner.close()
    release.set()


async def _open(log: list[str], name: str = "a") -> None:
    async with opened(Store(name, log)):
        pass


class TestTheWrongPlace:
    """Each says where to open instead, and opens nothing."""

    def test_prewarm(self) -> None:
        log: list[str] = []
        with pytest.raises(LifespanError, match=r"outside of a lifespan .*prewarm.* before its `yield`"):
            asyncio.run(_open(log))
        assert log == []

    async def _within(self, attempt: Callable[[], object]) -> None:
        @asynccontextmanager
        async def manager() -> AsyncIterator[None]:
            result = attempt()
            if asyncio.iscoroutine(result):
                await result
            yield

        owner = owner_of(manager)
        try:
            await owner.open(SECOND)
        finally:
            await owner.close()

    async def test_twice(self) -> None:
        log: list[str] = []

        async def twice() -> None:
            async with opened(Store("a", log)):
                await _open(log)

        with pytest.raises(LifespanError, match="opened twice in one job: the budget counts one"):
            await self._within(twice)

    async def test_another_loop(self) -> None:
        log: list[str] = []
        with pytest.raises(LifespanError, match="another event loop"):
            await self._within(lambda: asyncio.to_thread(asyncio.run, _open(log)))
        assert log == []

    async def test_a_fork(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def forked() -> None:
            monkeypatch.setattr(os, "getpid", lambda: -1)
            await _open([])

        with pytest.raises(LifespanError, match="forked from the lifespan's process"):
            await self._within(forked)

    async def test_after_yield(self) -> None:
        owner = owner_of(two_stores([]))
        await owner.open(SECOND)
        with pytest.raises(LifespanError, match="after the job lifespan's `yield`"):
            await result_of(owner.start(_open([], "late")))
        await owner.close()
