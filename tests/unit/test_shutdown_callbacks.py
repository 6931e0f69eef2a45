"""The user's own shutdown callbacks run before the close, all of them, within their time."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from agent.runtime.errors import LifespanError
from agent.runtime.shutdown_callbacks import ShutdownCallbacks

SECOND = 5.0


def context() -> Any:
    return SimpleNamespace(add_shutdown_callback=None)


async def test_each_is_called_as_livekit_does_and_one_may_add_another() -> None:
    ctx, called = context(), []
    callbacks = ShutdownCallbacks(ctx, SECOND)

    async def with_reason(reason: str) -> None:
        called.append(reason)

    async def late() -> None:
        called.append("late")

    async def adds() -> None:
        called.append("adds")
        ctx.add_shutdown_callback(late)

    class Held:
        async def method(self) -> None:
            called.append("method")

    for callback in (
        with_reason,
        adds,
        Held().method,
        lambda: called.append("sync"),
        partial(called.append, "partial"),
    ):
        ctx.add_shutdown_callback(callback)
    await callbacks.run("hung up")
    assert sorted(called) == ["adds", "hung up", "late", "method", "partial", "sync"]
    assert not callbacks.failed
    with pytest.raises(
        LifespanError, match="late was added when the others had run and the datastores closed"
    ):
        ctx.add_shutdown_callback(late)


async def test_one_that_raises_or_hangs_keeps_no_other_from_its_end(caplog: pytest.LogCaptureFixture) -> None:
    ctx, ended = context(), asyncio.Event()
    callbacks = ShutdownCallbacks(ctx, 0.1)

    async def raises() -> None:
        raise RuntimeError("on purpose")

    async def exits() -> None:
        sys.exit("on purpose")

    async def hangs() -> None:
        await asyncio.Event().wait()

    async def works() -> None:
        await asyncio.sleep(0)
        ended.set()

    for callback in (raises, exits, hangs, works):
        ctx.add_shutdown_callback(callback)
    await asyncio.wait_for(callbacks.run("hung up"), SECOND)
    assert ended.is_set()
    assert callbacks.failed
    assert "raises failed; the datastores close after it" in caplog.text
    assert "exits failed; the datastores close after it" in caplog.text
    assert "hangs took more than 0.1 s: left behind" in caplog.text
