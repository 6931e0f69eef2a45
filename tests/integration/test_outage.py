"""The agent that people copy answers on while Redis is down: what it notes there is worth less than the call."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from infra.budget import solve
from infra.config import apply_overrides, load_config
from infra.local import stack as stacks
from infra.local.__main__ import STACK_FILE
from infra.local.caller import Caller, Outcome
from infra.local.eventually import eventually
from infra.local.run import Run

pytestmark = [pytest.mark.integration, pytest.mark.timeout(200)]


async def test_a_call_goes_on_without_redis(tmp_path: Path) -> None:
    solution = solve(apply_overrides(load_config(STACK_FILE), {"fleet.jobs": 1, "fleet.slots": 1}))
    async with (
        Run("test-outage", tmp_path) as run,
        stacks.running(run, solution, workers=1, say=lambda _: None) as stack,
        stack.line.api() as livekit,
    ):
        # It thinks long enough that nothing is said before Redis is gone.
        caller = Caller(stack.line, "without-redis", ["Hello?", "Are you there?"], pause_seconds=5)
        call = asyncio.create_task(caller.call(livekit))
        await eventually(lambda: caller.talking, within=60, what="the greeting")
        stack.redis.process.kill()
        result = await call
        assert result.outcome is Outcome.ANSWERED, result.detail
        assert result.answers == 2
        (worker,) = stack.workers.values()
        assert "a turn was not counted: ConnectionError" in worker.process.log.read_text()
