"""What runs at a job's end, in real jobs: every hook of the user's, while the datastores are open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from infra.local.eventually import eventually
from infra.local.servers.mongodb import DATABASE
from tests.faults.bench import START_SECONDS, Bench, servers

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

AGENTS = Path("tests/integration/agents")


async def outcomes(bench: Bench, agent: str, room: str) -> dict[str, int]:
    """Run one call of this agent, and return what its worker counted once it ended."""
    counted: dict[str, int] = {}
    async with bench.worker(entrypoint=AGENTS / agent) as worker:
        await bench.dispatch(worker.name, room)

        async def ended() -> bool:
            gauges = await worker.gauges(bench.http)
            counted.update({} if gauges is None else gauges.outcomes)
            return sum(counted.values()) == 1

        await eventually(ended, within=START_SECONDS, what="the call's end")
    return {outcome: number for outcome, number in counted.items() if number}


async def test_on_session_end_runs_when_the_lifespan_yields_nothing(tmp_path: Path) -> None:
    async with (
        servers(tmp_path) as bench,
        AsyncMongoClient[dict[str, Any]](bench.stack.mongodb.url) as reader,
    ):
        assert await outcomes(bench, "yields_nothing.py", "nothing-yielded") == {"completed": 1}
        stored = await reader[DATABASE]["transcripts"].find().to_list()
        assert [transcript["room"] for transcript in stored] == ["nothing-yielded"]


async def test_shutdown_callbacks_find_the_datastores_open_though_another_one_fails(tmp_path: Path) -> None:
    async with (
        servers(tmp_path) as bench,
        AsyncMongoClient[dict[str, Any]](bench.stack.mongodb.url) as reader,
    ):
        assert await outcomes(bench, "says_goodbye_late.py", "late") == {"failed": 1}
        noted = await reader[DATABASE]["ends"].find().to_list()
        assert sorted(one["of"] for one in noted) == ["entrypoint", "lifespan"]
        assert "said all there was to say" in [one.get("reason") for one in noted]
