"""A transcript that MongoDB does not take is not lost: it waits in a file and is stored once, later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pymongo.errors import PyMongoError

from agent.models import DOCUMENTS, Transcript
from agent.runtime.datastores import mongodb as mongodb_module
from agent.runtime.datastores import mongodb_spool
from agent.runtime.datastores.mongodb import mongodb
from agent.runtime.datastores.mongodb_indexes import create_indexes
from agent.runtime.datastores.mongodb_spool import restore, restoring, store, waiting
from agent.runtime.scope import command_scope
from agent.runtime.settings import MongoDBSettings
from infra.local.eventually import eventually
from infra.local.run import Run
from infra.local.servers import mongodb as mongodb_server

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 23, 12, 0, 0, 123000, UTC)


@pytest.fixture
async def run() -> AsyncIterator[Run]:
    async with Run("test-spool") as run:
        yield run


def refused(directory: Path) -> list[Path]:
    return list(directory.glob("*.refused"))


def transcript(job: str) -> Transcript:
    return Transcript(
        room="r", job_id=job, caller_id="ann", started_at=NOW, ended_at=NOW, expires_at=NOW, messages=[]
    )


async def test_an_outage_at_hang_up_loses_nothing_and_doubles_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongodb_module, "SERVER_SELECTION_TIMEOUT_MS", 300)
    monkeypatch.setattr(mongodb_spool, "RESTORE_SECONDS", 0.1)
    server = await mongodb_server.start(run)
    settings = MongoDBSettings.from_environment({"MONGODB_URL": server.url})
    with command_scope():
        async with mongodb(DOCUMENTS, settings=settings) as database:
            await create_indexes(DOCUMENTS)
            assert await store(transcript("before"), tmp_path)
            await run.stop(server.process)
            assert not await store(transcript("during"), tmp_path)
            assert [file.stat().st_mode & 0o777 for file in waiting(tmp_path)] == [0o600]
            with pytest.raises(PyMongoError):
                await restore(database, tmp_path)
            assert len(waiting(tmp_path)) == 1
            copy = waiting(tmp_path)[0].read_text()
            # The same port and data: the server is back.
            await mongodb_server.start_on(run, server.port, server.password)
            async with restoring(database, tmp_path):
                await eventually(lambda: not waiting(tmp_path), within=30, what="the transcript to be stored")
            # Two workers on one volume: the second finds it stored.
            (tmp_path / "transcripts.again.json").write_text(copy)
            assert await restore(database, tmp_path) == 1
            stored = await Transcript.find_all().to_list()
            assert sorted(t.job_id for t in stored) == ["before", "during"]
            assert {t.expires_at for t in stored} == {NOW}


async def test_what_the_server_refuses_is_set_aside_and_holds_up_nobody(run: Run, tmp_path: Path) -> None:
    server = await mongodb_server.start(run)
    settings = MongoDBSettings.from_environment({"MONGODB_URL": server.url})
    with command_scope():
        async with mongodb(DOCUMENTS, settings=settings) as database:
            await create_indexes(DOCUMENTS)
            assert await store(transcript("one"), tmp_path)
            # The same job under another `_id`, and a file that is no document.
            assert not await store(transcript("one"), tmp_path)
            (tmp_path / "transcripts.broken.json").write_text("{")
            assert await restore(database, tmp_path) == 0
            assert waiting(tmp_path) == []
            assert len(refused(tmp_path)) == 2
            await asyncio.gather(*(store(transcript(f"job-{n}"), tmp_path) for n in range(3)))
            assert await Transcript.find_all().count() == 4
