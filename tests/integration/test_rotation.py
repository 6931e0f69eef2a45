"""A password is changed while calls run, in the order that charts/agent-worker/README.md gives."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError

from infra.budget import solve
from infra.config import apply_overrides, load_config
from infra.local import stack as stacks
from infra.local.__main__ import STACK_FILE
from infra.local.caller import Caller, Outcome
from infra.local.eventually import eventually
from infra.local.run import Run
from infra.local.servers.mongodb import DATABASE

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

NEW = "another-password-of-this-test"


def caller(stack: stacks.Stack, room: str) -> Caller:
    return Caller(stack.line, room, ["Hello?"], pause_seconds=0.2)


async def opened_anew(operator: Redis) -> bool:
    """Somebody beside the operator is connected: after all were cut, who talks is the first to be back."""
    return len(await operator.client_list()) > 1


async def test_calls_go_on_with_the_old_password_until_their_worker_has_drained(tmp_path: Path) -> None:
    # Calls long enough that a slow machine does not end the first one meanwhile.
    numbers = {"fleet.jobs": 2, "fleet.slots": 2, "fleet.max_call_seconds": 600}
    solution = solve(apply_overrides(load_config(STACK_FILE), numbers))
    async with (
        Run("test-rotation", tmp_path) as run,
        stacks.running(run, solution, workers=1, say=lambda _: None) as stack,
        stack.line.api() as livekit,
        Redis.from_url(stack.redis.url) as operator,
        AsyncMongoClient[dict[str, Any]](stack.mongodb.root_url) as administrator,
    ):
        old, before, user = stack.workers["worker-1"], stack.redis, stack.mongodb
        users = administrator["admin"]
        first = caller(stack, "before-and-after")
        first.stays_until = asyncio.Event()
        first_call = asyncio.create_task(first.call(livekit))
        await eventually(lambda: first.talking, within=120, what="the first call")

        # 1. Both passwords are good (Redis), or both users (MongoDB).
        # 2. The workers roll: a new one reads the new Secret, the old one drains.
        await operator.execute_command("ACL", "SETUSER", "default", f">{NEW}")
        await users.command("createUser", "agent-2", pwd=NEW, roles=[{"role": "readWrite", "db": DATABASE}])
        stack.redis, stack.mongodb = (
            replace(before, password=NEW),
            replace(user, user="agent-2", password=NEW),
        )
        await stack.start_worker()
        draining = asyncio.create_task(stack.stop_worker(old, within=300))
        second = await caller(stack, "after").call(livekit)
        assert second.outcome is Outcome.ANSWERED, second.detail

        # The call that began before goes on, though it has to open its connections anew.
        await operator.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await eventually(lambda: opened_anew(operator), within=30, what="a connection of that call")
        first.stays_until.set()
        result = await first_call
        assert result.outcome is Outcome.ANSWERED, result.detail
        assert await draining == 0

        # 3. Nobody drains any more: the old password and user go, and calls come in all the same.
        await operator.execute_command("ACL", "SETUSER", "default", f"<{before.password}")
        await users.command("dropUser", user.user)
        third = await caller(stack, "old-one-gone").call(livekit)
        assert third.outcome is Outcome.ANSWERED, third.detail
        with pytest.raises(AuthenticationError):
            async with Redis.from_url(before.url) as late:
                await late.ping()
        with pytest.raises(OperationFailure, match=r"(?i)authentication failed"):
            async with AsyncMongoClient[dict[str, Any]](user.url) as late_too:
                await late_too[DATABASE]["transcripts"].find_one()
        async with AsyncMongoClient[dict[str, Any]](stack.mongodb.url) as reader:
            transcripts = reader[DATABASE]["transcripts"]

            async def stored() -> bool:
                return await transcripts.count_documents({}) == 3

            await eventually(stored, within=30, what="every call's transcript")
