"""What anybody on a machine may read of a process, its arguments, holds no secret."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from agent.runtime.dispatch import place_call
from infra.local import slot_locks
from infra.local import stack as stacks
from infra.local.__main__ import STACK_FILE, solved
from infra.local.conversation import Conversation
from infra.local.run import Run

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


def secrets_of(environment: dict[str, str]) -> dict[str, str]:
    found = {name: urlsplit(value).password or "" for name, value in environment.items() if "://" in value}
    found["LIVEKIT_API_SECRET"] = environment["LIVEKIT_API_SECRET"]
    return {name: secret for name, secret in found.items() if secret}


def arguments(pid: int) -> str:
    return Path("/proc", str(pid), "cmdline").read_text()


async def test_no_process_of_a_worker_or_of_its_jobs_has_a_secret_in_its_arguments(tmp_path: Path) -> None:
    solution, count = solved(STACK_FILE, workers=1, slots=1)
    async with (
        Run("test-arguments", tmp_path) as run,
        stacks.running(run, solution, workers=count, say=lambda _: None) as stack,
        stack.line.api() as livekit,
    ):
        secrets = secrets_of(stack.environment)
        assert {"REDIS_URL", "LIVEKIT_API_SECRET"} <= secrets.keys()
        await place_call(livekit, agent_name=stack.line.agent_name, room="in-a-call")
        async with Conversation(stack.line, "in-a-call", "caller") as call:
            await call.hear()
            worker = stack.workers["worker-1"]
            main = psutil.Process(worker.process.pid)
            read = {one.pid: arguments(one.pid) for one in (main, *main.children(recursive=True))}
            assert set(slot_locks.owners(worker.slot_directory).values()) <= read.keys()
            told = [
                (pid, name)
                for pid, text in read.items()
                for name, secret in secrets.items()
                if secret in text
            ]
            assert told == [], [read[pid] for pid, _ in told]
