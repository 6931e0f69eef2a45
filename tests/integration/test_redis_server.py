"""A Redis that is not what it seems is refused by name when it is opened, and a primary that moves is followed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
from redis.asyncio import Redis

from agent.runtime import metrics
from agent.runtime.datastores.redis import redis
from agent.runtime.errors import DatastoreUnavailable, SettingsError
from agent.runtime.scope import Scope, lifespan_scope
from agent.runtime.settings import RedisSettings
from infra.local import kernel
from infra.local.eventually import eventually
from infra.local.kernel import Endpoint
from infra.local.run import Run
from infra.local.servers.redis_nodes import Node, start_node, start_pair

pytestmark = pytest.mark.integration

PASSWORD = "a-password"
CLUSTER = ["cluster-enabled yes", "cluster-port {bus}"]


@pytest.fixture
async def run() -> AsyncIterator[Run]:
    metrics.keep_in_memory()
    async with Run("test-redis-server") as run:
        yield run


@contextmanager
def lifespan(kind: str = "worker") -> Iterator[Scope]:
    with lifespan_scope(Scope(kind, 3.0)) as scope:  # type: ignore[arg-type]
        yield scope


def settings(node: Node, query: str = "") -> RedisSettings:
    return RedisSettings.from_environment({"REDIS_URL": node.url + query})


async def nothing_is_left(node: Node) -> None:
    await eventually(
        lambda: kernel.connections(Endpoint(node.process.pid, node.port)) == 0, within=5, what="all closed"
    )


@pytest.mark.parametrize("kind", ["worker", "job"])
@pytest.mark.parametrize("query", ["/0", "/1", "/0?protocol=2"])
@pytest.mark.parametrize(
    ("lines", "says"),
    [(CLUSTER, "a node of a Redis Cluster answers"), (None, "a Sentinel answers")],
    ids=["cluster", "sentinel"],
)
async def test_a_server_of_another_kind_is_refused(
    run: Run, lines: list[str] | None, says: str, kind: str, query: str
) -> None:
    node = await start_node(run, PASSWORD, lines or [], sentinel=lines is None)
    url = f"redis://:{PASSWORD}@{node.address}{query}"
    with lifespan(kind), pytest.raises(SettingsError, match=f"REDIS_URL=.hidden.: {says}") as refused:
        async with redis(settings=RedisSettings.from_environment({"REDIS_URL": url})):
            pass
    assert PASSWORD not in str(refused.value)
    await nothing_is_left(node)


@pytest.mark.parametrize("query", ["", "?protocol=2"])
async def test_a_read_only_replica_is_refused(run: Run, query: str) -> None:
    _, replica = await start_pair(run)
    with lifespan(), pytest.raises(DatastoreUnavailable, match="a read-only replica answers at REDIS_URL"):
        async with redis(settings=settings(replica, query)):
            pass
    await nothing_is_left(replica)


async def test_a_primary_that_is_one_again_after_a_moment_is_opened_and_written_to(run: Run) -> None:
    """What a fail-over behind one address looks like; redis-py alone fails the write."""
    node = await start_node(run, PASSWORD)

    async def gone_for_a_moment(operator: Redis) -> None:
        await operator.replicaof("127.0.0.1", "1")
        asyncio.get_running_loop().call_later(0.3, lambda: back.append(asyncio.ensure_future(again())))

        async def again() -> None:
            await operator.replicaof("NO", "ONE")

    back: list[asyncio.Future[None]] = []
    async with Redis.from_url(node.url) as operator:
        await gone_for_a_moment(operator)
        with lifespan("job"):
            async with redis(settings=settings(node)) as client:
                await client.set("a", 1)
                await gone_for_a_moment(operator)
                assert await client.incr("a") == 2
        await asyncio.gather(*back)
    await nothing_is_left(node)


async def test_what_a_server_does_not_say_is_told_and_is_no_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As a managed server or a proxy that knows no HELLO."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            writer.write(b"-ERR unknown command 'HELLO'\r\n" if b"HELLO" in data else b"+PONG\r\n")
        writer.close()

    metrics.keep_in_memory()
    caplog.set_level(logging.INFO, "agent.runtime")
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0?protocol=2"
        with lifespan():
            async with redis(settings=RedisSettings.from_environment({"REDIS_URL": url})):
                pass
    assert "does not say what it is" in caplog.text


@pytest.mark.parametrize("query", ["", "?protocol=2"])
async def test_the_question_needs_no_right(run: Run, query: str) -> None:
    """A user who may do nothing but GET is told as well."""
    node = await start_node(run, PASSWORD, ["user app on >app-password ~* -@all +get"])
    url = f"redis://app:app-password@{node.address}/0{query}"
    with lifespan():
        async with redis(settings=RedisSettings.from_environment({"REDIS_URL": url})) as client:
            assert await client.get("a") is None
    cluster = await start_node(run, PASSWORD, [*CLUSTER, "user app on >app-password ~* -@all +get"])
    url = f"redis://app:app-password@{cluster.address}/0{query}"
    with lifespan(), pytest.raises(SettingsError, match="a node of a Redis Cluster"):
        async with redis(settings=RedisSettings.from_environment({"REDIS_URL": url})):
            pass
