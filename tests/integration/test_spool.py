"""What MongoDB does not take is not lost: it waits in a file, and is stored once, later, where it belongs."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from beanie import Document
from bson import ObjectId
from prometheus_client import REGISTRY
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ConnectionFailure

from agent.models import DOCUMENTS, Transcript
from agent.runtime.datastores import mongodb_spool, mongodb_url
from agent.runtime.datastores.mongodb import mongodb
from agent.runtime.datastores.mongodb_indexes import create_indexes
from agent.runtime.datastores.mongodb_spool import Restored, restore, restoring, store
from agent.runtime.scope import command_scope
from agent.runtime.settings import MongoDBSettings
from agent.runtime.spool_files import Place, identity, refused, waiting
from infra.local.eventually import eventually
from infra.local.run import Run
from infra.local.servers import mongodb as mongodb_server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

NOW = datetime(2026, 11, 23, 12, 0, 0, 123000, UTC)
DATABASE = "agent"


class DottedCall(Document):
    """Whose collection has a dot in its name."""

    note: str

    class Settings:
        name = "agent.calls"


@dataclass
class Server:
    run: Run
    server: mongodb_server.MongoDB
    database: AsyncDatabase[dict[str, Any]]

    async def stop(self) -> None:
        await self.run.stop(self.server.process)

    async def back(self) -> None:
        """The same port and data."""
        await mongodb_server.start_again(self.run, self.server)


@pytest.fixture
async def at(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    monkeypatch.setattr(mongodb_url, "SERVER_SELECTION_TIMEOUT_MS", 1500)
    monkeypatch.setattr(mongodb_spool, "RESTORE_SECONDS", 0.1)
    async with Run("test-spool") as run:
        server = await mongodb_server.start(run, 100, databases=(DATABASE, "hotel"))
        settings = MongoDBSettings.from_environment({"MONGODB_URL": server.url})
        with command_scope():
            async with mongodb([*DOCUMENTS, DottedCall], settings=settings) as database:
                await create_indexes(DOCUMENTS)
                yield Server(run, server, database)


def transcript(job: str) -> Transcript:
    return Transcript(
        room="r", job_id=job, caller_id="ann", started_at=NOW, ended_at=NOW, expires_at=NOW, messages=[]
    )


def put(directory: Path, name: str, text: str | bytes) -> Path:
    """A file of whoever's, beside the database's own, as 0.1.0 wrote them."""
    file = directory / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def document(text: str = "kept") -> str:
    return f'{{"_id": {{"$oid": "{ObjectId()}"}}, "text": "{text}"}}'


async def test_an_outage_at_hang_up_loses_nothing_and_doubles_nothing(at: Server, tmp_path: Path) -> None:
    assert await store(transcript("before"), tmp_path)
    await at.stop()
    assert not await store(transcript("during"), tmp_path)
    assert not await store(DottedCall(note="dotted"), tmp_path)
    files = waiting(tmp_path, DATABASE)
    assert [file.stat().st_mode & 0o777 for file in files] == [0o600, 0o600]
    with pytest.raises(ConnectionFailure):
        await restore(at.database, tmp_path)
    assert len(waiting(tmp_path, DATABASE)) == 2
    copy = files[0].read_text()
    await at.back()
    async with restoring(at.database, tmp_path):
        await eventually(lambda: not waiting(tmp_path, DATABASE), within=30, what="both to be stored")
    # Another worker on the volume finds it stored, in a file of 0.1.0's.
    put(tmp_path, "transcripts.again.json", copy)
    assert await restore(at.database, tmp_path) == Restored()
    assert not waiting(tmp_path, DATABASE)
    stored = await Transcript.find_all().to_list()
    assert sorted(t.job_id for t in stored) == ["before", "during"]
    assert {t.expires_at for t in stored} == {NOW}
    assert [call.note for call in await DottedCall.find_all().to_list()] == ["dotted"], "where it belongs"


async def test_what_is_a_files_own_fault_is_set_aside_and_holds_up_nobody(
    at: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    deep = '{"_id": 1, "in": ' + "[" * 100_000 + "]" * 100_000 + "}"
    put(tmp_path, "calls.broken.json", "{")
    put(tmp_path, "calls.deep.json", deep)
    put(tmp_path, "calls.huge.json", f'{{"_id": 2, "text": "{"x" * 17 * 2**20}"}}')
    put(tmp_path, "calls.number.json", f'{{"_id": 3, "number": {2**70}}}')
    put(tmp_path, "calls.list.json", "[1]")
    put(tmp_path, "._calls.6512.json", b"\x00\x05\x16\x07\xff")
    put(tmp_path, "nothing.json", document())
    put(tmp_path, "no$collection.1.json", document())
    (tmp_path / "calls.directory.json").mkdir()
    (tmp_path / "calls.link.json").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "calls.pipe.json")
    assert await store(transcript("one"), tmp_path)
    assert not await store(transcript("one"), tmp_path), "the same job under another `_id`"
    put(tmp_path, "calls.good.json", document())
    done = await restore(at.database, tmp_path)
    assert waiting(tmp_path, DATABASE) == []
    assert done == Restored(stored=1, set_aside=12)
    assert refused(tmp_path, DATABASE) == 12
    assert await at.database["calls"].count_documents({}) == 1
    assert "calls.number.json cannot be stored and is set aside as .refused" in caplog.text
    assert "xxxx" not in caplog.text, "what a document holds is told to nobody"
    async with restoring(at.database, tmp_path):
        labels = {"datastore": "mongodb", "spool": identity(tmp_path)}

        def told() -> bool:
            return REGISTRY.get_sample_value("agent_datastore_spool_refused_documents", labels) == 12

        await eventually(told, within=10, what="the gauge")


async def test_a_document_that_no_server_takes_is_kept_all_the_same(at: Server, tmp_path: Path) -> None:
    assert not await store(DottedCall(note="x" * 17 * 2**20), tmp_path)
    assert refused(tmp_path, at.database.name) == 1
    assert not waiting(tmp_path, at.database.name)


async def test_two_databases_in_one_directory_keep_theirs(at: Server, tmp_path: Path) -> None:
    Place(tmp_path, "hotel").write("calls", "1", '{"_id": 1, "of": "hotel"}')
    Place(tmp_path, DATABASE).write("calls", "../a.1", '{"_id": "../a.1", "of": "agent"}')
    assert await restore(at.database, tmp_path) == Restored(stored=1)
    assert await restore(at.database.client["hotel"], tmp_path) == Restored(stored=1)
    for name in (DATABASE, "hotel"):
        found = await at.database.client[name]["calls"].find().to_list()
        assert [one["of"] for one in found] == [name]


async def test_a_look_that_fails_in_an_unknown_way_is_told_and_not_the_last(
    at: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looks: list[int] = []

    async def fails_once(*arguments: Any) -> Restored:
        looks.append(1)
        if len(looks) == 1:
            raise LookupError("nobody thought of this")
        return await restore(*arguments)

    monkeypatch.setattr(mongodb_spool, "restore", fails_once)
    put(tmp_path, "calls.good.json", document())
    async with restoring(at.database, tmp_path):
        await eventually(lambda: not waiting(tmp_path, DATABASE), within=10, what="the next look")
    assert "a look at" in caplog.text
    assert "nobody thought of this" in caplog.text


RESTORER = """
import asyncio, sys
from pathlib import Path
from agent.runtime import metrics
from agent.runtime.datastores import mongodb_spool
from agent.runtime.datastores.mongodb import mongodb
from agent.runtime.scope import command_scope
metrics.keep_in_memory()

async def main():
    with command_scope():
        async with mongodb() as database:
            print("ready", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            while mongodb_spool.waiting(Path(sys.argv[1]), database.name):
                done = await mongodb_spool.restore(database, Path(sys.argv[1]))
                print(done.stored, done.set_aside, done.left, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("files", [300, pytest.param(1500, marks=pytest.mark.soak)])
async def test_three_workers_on_one_volume_store_each_file_once_and_none_dies(
    at: Server, tmp_path: Path, files: int
) -> None:
    for number in range(files):
        put(tmp_path, f"calls.{number}.json", document(str(number)))
    workers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", RESTORER, str(tmp_path),
            env={"PATH": os.environ["PATH"], "MONGODB_URL": at.server.url},
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )
        for _ in range(3)
    ]  # fmt: skip
    try:
        for worker in workers:
            assert worker.stdin
            assert worker.stdout
            assert await worker.stdout.readline() == b"ready\n"
        for worker in workers:
            assert worker.stdin
            worker.stdin.write(b"go\n")
        said = [await worker.communicate() for worker in workers]
    finally:
        for worker in workers:
            if worker.returncode is None:
                worker.kill()
                await worker.wait()
    assert [worker.returncode for worker in workers] == [0, 0, 0], [
        error.decode()[-500:] for _, error in said
    ]
    counts = [[int(word) for word in line.split()] for out, _ in said for line in out.splitlines()]
    assert sum(count[0] for count in counts) == files, "each counted by who stored it"
    assert sum(count[1] for count in counts) == 0
    assert await at.database["calls"].count_documents({}) == files
    assert not waiting(tmp_path, DATABASE)
