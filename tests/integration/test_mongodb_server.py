"""What only a server that behaves like a mongod shows: its limit, its users' rights, its own count, a step-down."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from agent.models import DOCUMENTS
from agent.runtime.datastores import mongodb_url
from agent.runtime.datastores.mongodb import mongodb
from agent.runtime.datastores.mongodb_indexes import create_indexes
from agent.runtime.errors import DatastoreUnavailable
from agent.runtime.scope import Scope, command_scope, lifespan_scope
from agent.runtime.settings import MongoDBSettings
from infra.local import kernel
from infra.local.eventually import eventually
from infra.local.run import Run
from infra.local.servers import mongodb as mongodb_server

pytestmark = pytest.mark.integration

LIMIT = 6
STEPPED_DOWN_SECONDS = 3


@pytest.fixture
async def server() -> AsyncIterator[mongodb_server.MongoDB]:
    async with Run("test-mongodb") as run:
        yield await mongodb_server.start(run, LIMIT)


def opened(server: mongodb_server.MongoDB, **settings: str) -> Any:
    """A job's database, in a scope of its own."""
    given = MongoDBSettings.from_environment({"MONGODB_URL": server.url, "MONGODB_POOL": "2", **settings})

    @asynccontextmanager
    async def job() -> AsyncIterator[AsyncDatabase[dict[str, Any]]]:
        with lifespan_scope(Scope("job", 3.0)):
            async with mongodb(settings=given) as database:
                yield database

    return job()


async def both_in_use(database: AsyncDatabase[dict[str, Any]]) -> None:
    await asyncio.gather(*(database["calls"].find_one() for _ in range(10)))


def connections(server: mongodb_server.MongoDB) -> int:
    return kernel.connections(kernel.Endpoint(server.process.pid, server.port))


async def test_a_full_server_refuses_and_is_named_and_one_that_has_room_again_is_not(
    server: mongodb_server.MongoDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongodb_url, "SERVER_SELECTION_TIMEOUT_MS", 1000)
    async with AsyncExitStack() as jobs:
        for _ in range(LIMIT // 3):  # a pool of 2 and a monitor each
            await both_in_use(await jobs.enter_async_context(opened(server)))
        await eventually(lambda: connections(server) == LIMIT, within=10, what="a full server")
        with pytest.raises(DatastoreUnavailable, match="mongodb could not be opened after"):
            async with opened(server):
                pass
    await eventually(lambda: connections(server) == 0, within=10, what="an empty server")
    async with opened(server) as database:
        await both_in_use(database)


async def test_a_worker_may_read_and_write_its_database_and_make_its_indexes_and_no_more(
    server: mongodb_server.MongoDB,
) -> None:
    with command_scope():
        settings = MongoDBSettings.from_environment({"MONGODB_URL": server.url})
        async with mongodb(DOCUMENTS, settings=settings) as database:
            await create_indexes(DOCUMENTS)
            indexes = await database["transcripts"].index_information()
            assert [
                index["expireAfterSeconds"] for index in indexes.values() if "expireAfterSeconds" in index
            ]
            client = database.client
            for refused in (
                client["hotel"]["calls"].find_one(),
                client["hotel"]["calls"].insert_one({}),
                client["admin"].command("serverStatus"),
                client["admin"].command("createUser", "another", pwd="a", roles=[]),
            ):
                with pytest.raises(OperationFailure, match="not authorized"):
                    await refused


@pytest.mark.parametrize("monitoring", ["poll", "stream"])
async def test_the_servers_count_is_the_kernels(server: mongodb_server.MongoDB, monitoring: str) -> None:
    async with (
        opened(server, MONGODB_MONITORING=monitoring) as database,
        AsyncMongoClient[dict[str, Any]](server.root_url, serverMonitoringMode="poll") as root,
    ):
        await both_in_use(database)

        async def alike() -> bool:
            status = await root["admin"].command("serverStatus")
            mine, others = 2, {"poll": 3, "stream": 4}[monitoring]
            return bool(status["connections"]["current"] == connections(server) == mine + others)

        await eventually(alike, within=10, what="the same count")


async def test_a_write_waits_for_a_primary_that_stepped_down(server: mongodb_server.MongoDB) -> None:
    """One node: a step-down, and no fail-over. mongod labels its answer as one to try again after; this server's
    step-down does not, so a failpoint answers in its place."""
    async with (
        opened(server) as database,
        AsyncMongoClient[dict[str, Any]](server.root_url, serverMonitoringMode="poll") as root,
    ):
        await database["calls"].insert_one({"n": 1})
        await root["admin"].command("replSetStepDown", STEPPED_DOWN_SECONDS, force=True)
        not_primary = {"failCommands": ["insert"], "errorCode": 10107, "errorLabels": ["RetryableWriteError"]}
        await root["admin"].command("configureFailPoint", "failCommand", mode={"times": 1}, data=not_primary)
        began = time.monotonic()
        await database["calls"].insert_one({"n": 2})
        assert STEPPED_DOWN_SECONDS - 1 < time.monotonic() - began < STEPPED_DOWN_SECONDS + 2
        assert await database["calls"].count_documents({}) == 2, "each once"
