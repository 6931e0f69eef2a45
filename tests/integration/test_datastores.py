"""Real servers: pools stay within their share in the kernel, gauges agree with it, and a close leaves nothing."""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from beanie import Document
from beanie.odm.utils.dump import get_dict
from bson import ObjectId, json_util
from pymongo import ASCENDING, IndexModel
from redis.exceptions import ConnectionError as RedisConnectionError

from agent.models import DOCUMENTS, Caller, Transcript, session_key
from agent.runtime.datastores import mongodb_url
from agent.runtime.datastores.base import Connections
from agent.runtime.datastores.mongodb import mongodb
from agent.runtime.datastores.mongodb_indexes import check_indexes, create_indexes
from agent.runtime.datastores.redis import redis
from agent.runtime.errors import (
    CLIENTS_DO_NOT_TRAVEL,
    DatastoreUnavailable,
    IndexesMissing,
    LifespanError,
    SettingsError,
)
from agent.runtime.scope import Scope, command_scope, lifespan_scope
from agent.runtime.settings import MongoDBSettings, RedisSettings
from infra.local import kernel
from infra.local.eventually import eventually
from infra.local.kernel import Endpoint
from infra.local.run import ROOT, Run
from infra.local.servers import mongodb as mongodb_server
from infra.local.servers import redis as redis_server
from tests.faults.proxy import Mode, Proxy

pytestmark = pytest.mark.integration

POOL = 2
MAXCLIENTS = 8


@dataclass
class Servers:
    mongodb: Endpoint
    redis: Endpoint
    environment: dict[str, str]
    mongodb_url_at: Callable[[int], str]

    async def settled(self, endpoint: Endpoint, connections: int) -> None:
        """The kernel counts exactly so many connections."""
        await eventually(
            lambda: kernel.connections(endpoint) == connections,
            within=10,
            what=f"{connections} connections in the kernel, {kernel.connections(endpoint)} seen",
        )


@pytest.fixture
async def servers() -> AsyncIterator[Servers]:
    async with Run("test-datastores") as run:
        mongo = await mongodb_server.start(run, 100, databases=("agent", "hotel"))
        valkey = await redis_server.start(run, MAXCLIENTS)
        yield Servers(
            Endpoint(mongo.process.pid, mongo.port),
            Endpoint(valkey.process.pid, valkey.port),
            {"MONGODB_URL": mongo.url, "REDIS_URL": valkey.url, "MONGODB_DATABASE": "agent"},
            mongo.url_at,
        )


def mongodb_settings(servers: Servers, **changes: str) -> MongoDBSettings:
    return MongoDBSettings.from_environment(servers.environment | {"MONGODB_POOL": str(POOL)} | changes)


def redis_settings(servers: Servers, **changes: str) -> RedisSettings:
    return RedisSettings.from_environment(servers.environment | {"REDIS_POOL": str(POOL)} | changes)


@asynccontextmanager
async def job() -> AsyncIterator[Scope]:
    with lifespan_scope(Scope("job", 3.0)) as scope:
        yield scope


@pytest.mark.parametrize("monitoring", ["poll", "stream"])
async def test_mongodb_in_a_burst_stays_within_its_share_and_tells_the_truth(
    servers: Servers, monitoring: str
) -> None:
    monitors = {"poll": 1, "stream": 2}[monitoring]
    settings = mongodb_settings(servers, MONGODB_MONITORING=monitoring)
    async with job() as scope, mongodb(settings=settings) as db:
        seen = []
        for _ in range(5):
            await asyncio.gather(*(db.command("ping") for _ in range(50)))
            seen.append(kernel.connections(servers.mongodb))
        assert max(seen) <= POOL + monitors
        # The second monitor of a stream, which measures round trips, comes with the first answer.
        await servers.settled(servers.mongodb, POOL + monitors)
        counted = scope.datastores["mongodb"].connections()
        assert counted == Connections(in_use=0, idle=POOL, monitoring=monitors)
    await servers.settled(servers.mongodb, 0)


@pytest.mark.parametrize("leaves", [Mode.RESET, Mode.REFUSE])
async def test_mongodb_that_came_back_between_two_looks_is_counted_as_it_is(
    servers: Servers, leaves: Mode
) -> None:
    """PyMongo's monitor may find its own connection lost and make another without a word: the pool keeps its dead."""
    async with Proxy(servers.mongodb.port) as between, AsyncExitStack() as stack:
        url = servers.mongodb_url_at(between.port)
        scope = await stack.enter_async_context(job())
        db = await stack.enter_async_context(mongodb(settings=mongodb_settings(servers, MONGODB_URL=url)))
        await asyncio.gather(*(db.command("ping") for _ in range(20)))
        # One that is idle for less than a second is not looked at before it is used.
        await eventually(lambda: 1 < _monitor(db).idle_time_seconds() < 2, within=10, what="idle monitor")
        # What a reply leaves behind that is there before PyMongo waits for it: the loop reads on, and sees the end.
        _monitor(db).conn.conn[0].resume_reading()
        await between.set(leaves)
        await between.set(Mode.PASS)

        def truth() -> bool:
            counted = scope.datastores["mongodb"].connections()
            return counted == Connections(in_use=0, idle=0, monitoring=1)

        await eventually(truth, within=5, what="only the monitor's connection is left")
        await servers.settled(servers.mongodb, 1)
        assert await db["callers"].find_one() is None
        await servers.settled(servers.mongodb, 2)
        assert scope.datastores["mongodb"].connections() == Connections(in_use=0, idle=1, monitoring=1)


def _monitor(db: Any) -> Any:
    """The monitor's own connection, as PyMongo keeps it; while it is in use, one that has not been idle."""
    (server,) = db.client._topology._servers.values()
    return next(iter(server._monitor._pool.conns), SimpleNamespace(idle_time_seconds=lambda: 0))


async def test_redis_in_a_burst_stays_within_its_share_and_tells_the_truth(servers: Servers) -> None:
    async with job() as scope, redis(settings=redis_settings(servers)) as cache:
        seen = []
        for _ in range(5):
            await asyncio.gather(*(cache.incr("calls") for _ in range(50)))
            seen.append(kernel.connections(servers.redis))
        assert max(seen) <= POOL
        counted = scope.datastores["redis"].connections()
        assert counted.in_use + counted.idle == kernel.connections(servers.redis) == POOL
        assert await cache.get("calls") == "250"
    await servers.settled(servers.redis, 0)
    with pytest.raises(LifespanError, match="redis is closed"):
        await cache.ping()
    await servers.settled(servers.redis, 0)


async def test_a_pool_that_stays_empty_is_waited_for_no_longer_than_said(servers: Servers) -> None:
    settings = redis_settings(servers, REDIS_POOL="1", REDIS_WAIT_SECONDS="0.05")
    async with job() as scope, redis(settings=settings) as cache:
        waiting = asyncio.ensure_future(cache.blpop(["nothing-comes"], timeout=1))
        pool = scope.datastores["redis"]
        await eventually(lambda: pool.connections().in_use == 1, within=5, what="the pool to be empty")
        with pytest.raises(RedisConnectionError, match="No connection available"):
            await cache.ping()
        await waiting


async def test_a_full_redis_is_named(servers: Servers) -> None:
    async with job(), asyncio.TaskGroup() as group:
        others = [asyncio.open_connection("127.0.0.1", servers.redis.port) for _ in range(MAXCLIENTS)]
        opened = [await group.create_task(other) for other in others]
        await servers.settled(servers.redis, MAXCLIENTS)
        with pytest.raises(
            DatastoreUnavailable, match=r"redis could not be opened after .* max number of clients"
        ):
            async with redis(settings=redis_settings(servers)):
                pass
        for _, writer in opened:
            writer.close()
    await servers.settled(servers.redis, 0)


async def test_mongodb_that_is_down_is_named_in_time(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongodb_url, "SERVER_SELECTION_TIMEOUT_MS", 200)
    settings = mongodb_settings(servers, MONGODB_URL="mongodb://user:hunter2@127.0.0.1:1")
    with pytest.raises(DatastoreUnavailable, match="mongodb could not be opened after 0") as error:
        async with job(), mongodb(settings=settings):
            pass
    assert "hunter2" not in str(error.value)


async def test_clients_do_not_travel(servers: Servers) -> None:
    async with (
        job(),
        mongodb(settings=mongodb_settings(servers)) as db,
        redis(settings=redis_settings(servers)) as cache,
    ):
        for client in (db, db.client, cache, cache.connection_pool):
            with pytest.raises(TypeError) as error:
                pickle.dumps(client)
            assert str(error.value) == CLIENTS_DO_NOT_TRAVEL


async def test_a_worker_gets_the_workers_share(servers: Servers) -> None:
    with lifespan_scope(Scope("worker", 3.0)):
        settings = mongodb_settings(servers, MONGODB_WORKER_POOL="1", MONGODB_POOL="9")
        async with mongodb(settings=settings) as db:
            await asyncio.gather(*(db.command("ping") for _ in range(20)))
            await servers.settled(servers.mongodb, 2)
        with pytest.raises(LifespanError, match="MONGODB_WORKER_POOL=0"):
            async with mongodb(settings=mongodb_settings(servers, MONGODB_WORKER_POOL="0")):
                pass


async def test_binary_values_and_naive_dates_are_had_as_the_drivers_give_them(servers: Servers) -> None:
    now = datetime(2026, 11, 29, 12, tzinfo=UTC)
    async with (
        job(),
        mongodb(settings=mongodb_settings(servers), tz_aware=False) as db,
        redis(settings=redis_settings(servers), decode_responses=False) as cache,
    ):
        await cache.set("picture", b"\xff\xd8")
        assert await cache.get("picture") == b"\xff\xd8"
        await db["dates"].insert_one({"at": now})
        assert [d["at"] async for d in db["dates"].find()] == [now.replace(tzinfo=None)]
    async with (
        job(),
        mongodb(settings=mongodb_settings(servers)) as db,
        redis(settings=redis_settings(servers)) as cache,
    ):
        with pytest.raises(UnicodeDecodeError):
            await cache.get("picture")
        assert [d["at"] async for d in db["dates"].find()] == [now]


async def test_what_the_last_version_stored_beside_the_urls_database_is_not_left_behind_unseen(
    servers: Servers,
) -> None:
    """Version 0.1.0 ignored the path: this deployment's documents are in `agent`."""
    async with job(), mongodb([Note], settings=mongodb_settings(servers)):
        await Note(text="from 0.1.0").insert()
    del servers.environment["MONGODB_DATABASE"]
    hotel = servers.environment["MONGODB_URL"].replace("/?", "/hotel?")
    for kind in ("worker", "command"):
        with lifespan_scope(Scope(kind, 3.0)):
            told = r"says database 'hotel', which holds no documents .* but 'agent' does \(notes\)"
            with pytest.raises(SettingsError, match=told):
                async with mongodb([Note], settings=mongodb_settings(servers, MONGODB_URL=hotel)):
                    pass
    with lifespan_scope(Scope("worker", 3.0)):
        new = mongodb_settings(servers, MONGODB_URL=hotel, MONGODB_DATABASE="hotel")
        async with mongodb([Note], settings=new) as db:
            assert db.name == "hotel"
            await Note(text="anew").insert()
    with lifespan_scope(Scope("worker", 3.0)):
        async with mongodb([Note], settings=mongodb_settings(servers, MONGODB_URL=hotel)) as db:
            assert db.name == "hotel"
    old = servers.environment["MONGODB_URL"].replace("/?", "/agent?")
    with lifespan_scope(Scope("worker", 3.0)):
        async with mongodb([Note], settings=mongodb_settings(servers, MONGODB_URL=old)):
            assert [note.text for note in await Note.find_all().to_list()] == ["from 0.1.0"]


class Note(Document):
    """A document with a plain and a compound index."""

    text: str

    class Settings:
        name = "notes"
        indexes = [  # noqa: RUF012
            IndexModel([("text", ASCENDING)], name="by_text"),
            IndexModel([("text", ASCENDING), ("_id", ASCENDING)], name="by_text_and_id"),
        ]


async def test_indexes_are_made_once_and_missed_by_name(servers: Servers) -> None:
    with command_scope():
        async with mongodb([Note], settings=mongodb_settings(servers)):
            with pytest.raises(
                IndexesMissing, match=r"notes\.by_text, notes\.by_text_and_id; .* agent indexes"
            ):
                await check_indexes([Note])
            assert await create_indexes([Note]) == ["notes.by_text", "notes.by_text_and_id"]
            assert await create_indexes([Note]) == []
            await check_indexes([Note])


async def command(servers: Servers, *arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", *arguments,
        cwd=ROOT, env={"PATH": os.environ["PATH"], **servers.environment},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_all_of_one_callers_data_is_deleted_by_one_command(servers: Servers, tmp_path: Path) -> None:
    now = datetime.now(UTC)

    def transcript(caller: str, job: str) -> Transcript:
        return Transcript(
            room="r", job_id=job, caller_id=caller, started_at=now, ended_at=now, expires_at=now, messages=[]
        )

    with command_scope():
        async with (
            mongodb(DOCUMENTS, settings=mongodb_settings(servers)),
            redis(settings=redis_settings(servers)) as cache,
        ):
            for number, caller in enumerate(("ann", "ann", "bob")):
                await transcript(caller, f"job-{number}").insert()
            for caller in ("ann", "bob"):
                await Caller(caller_id=caller, first_seen=now, last_seen=now).insert()
                await cache.hset(session_key(caller), "turns", "1")
            servers.environment["AGENT_SPOOL_DIRECTORY"] = str(tmp_path)
            document = json_util.dumps(
                get_dict(transcript("ann", "job-waiting"), to_db=True) | {"_id": ObjectId()}
            )
            (tmp_path / "transcripts.waiting.json").write_text(document)
            assert (await command(servers, "forget", "ann"))[:2] == (
                0,
                "deleted of 'ann': transcripts 3, callers 1, session keys 1\n",
            )
            assert await Transcript.find_all().to_list() != []
            assert {t.caller_id for t in await Transcript.find_all().to_list()} == {"bob"}
            assert [c.caller_id for c in await Caller.find_all().to_list()] == ["bob"]
            assert await cache.keys() == [session_key("bob")]
            assert (await command(servers, "expire"))[1] == "expired transcripts deleted: 1\n"


async def test_a_command_that_cannot_reach_its_database_says_so_in_one_line(servers: Servers) -> None:
    servers.environment["MONGODB_URL"] = "http://127.0.0.1"
    status, out, err = await command(servers, "indexes")
    assert (status, out) == (1, "")
    assert err == (
        "environment: MONGODB_URL=(hidden): accepted: a URL that begins with mongodb:// or mongodb+srv://\n"
    )
