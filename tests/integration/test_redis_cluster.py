"""A Redis Cluster: a bounded pool to each node, and its ways of moving keys and primaries are followed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from redis.asyncio import RedisCluster
from redis.exceptions import MaxConnectionsError, RedisError

from agent.runtime import metrics
from agent.runtime.datastores.base import Connections
from agent.runtime.datastores.redis import redis
from agent.runtime.errors import DatastoreUnavailable, LifespanError, SettingsError
from agent.runtime.scope import Scope, lifespan_scope
from agent.runtime.settings import RedisSettings
from infra.local.eventually import eventually
from infra.local.kernel import HELD
from infra.local.processes import sockets
from infra.local.run import Run
from infra.local.servers.redis_nodes import Node, start_cluster, start_node

pytestmark = pytest.mark.integration

POOL = 2
KEYS = [f"call-{number}" for number in range(60)]


@pytest.fixture
async def run() -> AsyncIterator[Run]:
    metrics.keep_in_memory()
    async with Run("test-redis-cluster") as run:
        yield run


@contextmanager
def job() -> Iterator[Scope]:
    with lifespan_scope(Scope("job", 3.0)) as scope:
        yield scope


def settings(nodes: list[Node], after: str = "", **more: str) -> RedisSettings:
    hosts = ",".join(node.address for node in nodes[:2])
    url = f"redis+cluster://:{nodes[0].password}@{hosts}{after}"
    return RedisSettings.from_environment({"REDIS_URL": url, "REDIS_POOL": str(POOL), **more})


def ours(nodes: list[Node]) -> list[int]:
    """Connections of this process to each, as the kernel has them."""
    ports = [s.remote_port for s in sockets(os.getpid()) if s.status in HELD]
    return [ports.count(node.port) for node in nodes]


@asynccontextmanager
async def opened(given: RedisSettings) -> AsyncIterator[Any]:
    """redis-py's types do not know that the commands of a cluster can be awaited."""
    async with redis(settings=given) as client:
        yield client


async def burst(client: Any) -> None:
    await asyncio.gather(*(client.incr(key) for key in KEYS))


async def test_a_burst_waits_for_the_pool_of_each_node(run: Run) -> None:
    nodes = await start_cluster(run)
    with job() as scope:
        async with opened(settings(nodes)) as client:
            assert isinstance(client, RedisCluster)
            seen = []
            for _ in range(5):
                await burst(client)
                seen.append(ours(nodes))
            assert seen[-1] == [POOL] * 3
            assert max(map(max, seen)) == POOL
            assert scope.datastores["redis"].connections() == Connections(idle=3 * POOL)
            assert [await client.get(key) for key in KEYS] == ["5"] * len(KEYS)
            async with client.pipeline() as pipeline:
                for key in KEYS:
                    pipeline.get(key)
                assert await pipeline.execute() == ["5"] * len(KEYS)
            subscription = client.pubsub()
            await subscription.subscribe("news")
            await client.publish("news", "one")
            told = [await subscription.get_message(timeout=5) for _ in range(2)]
            assert [message["type"] for message in told if message] == ["subscribe", "message"]
            assert scope.datastores["redis"].connections().in_use == 1
            await subscription.aclose()
            assert max(ours(nodes)) <= POOL
    assert ours(nodes) == [0, 0, 0]
    with pytest.raises(LifespanError, match="redis is closed"):
        await client.get("a")
    assert ours(nodes) == [0, 0, 0]


async def test_a_node_whose_pool_stays_taken_is_named(run: Run) -> None:
    nodes = await start_cluster(run, shards=1)
    with job():
        async with opened(settings(nodes, REDIS_WAIT_SECONDS="0.3")) as client:
            held = [asyncio.create_task(client.blpop("nothing", timeout=2)) for _ in range(POOL)]
            await eventually(lambda: ours(nodes) == [POOL], within=5, what="both connections taken")
            with pytest.raises(MaxConnectionsError, match=r"no connection to .* was free within 0\.3 s"):
                await client.get("a")
            await asyncio.gather(*held)
            assert await client.get("a") is None


async def test_a_slot_that_moves_is_followed(run: Run) -> None:
    nodes = await start_cluster(run)
    with job():
        async with opened(settings(nodes)) as client:
            await burst(client)
            slot = client.keyslot("{moving}")
            holder = next(n for n in nodes if n.port == client.get_node_from_key("{moving}").port)
            target = next(node for node in nodes if node is not holder)
            async with contextlib.AsyncExitStack() as stack:
                operators = {
                    node.port: await stack.enter_async_context(node.operator())
                    for node in [target, holder, *nodes]
                }
                new, old = operators[target.port], operators[holder.port]
                to, of = [await node.execute_command("CLUSTER MYID") for node in (new, old)]
                # In this order a slot is moved by `valkey-cli`, too: who has imported it counts a new epoch, and nobody
                # believes the old holder's last gossip.
                await new.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", of)
                await old.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", to)
                for operator in (new, old):
                    await operator.execute_command("CLUSTER SETSLOT", slot, "NODE", to)
            assert await client.set("{moving}", 1)
            await burst(client)
            assert await client.get("{moving}") == "1"
            assert client.get_node_from_key("{moving}").port == target.port
            assert max(ours(nodes)) <= POOL


async def test_a_fail_over_in_mid_call_is_followed(
    run: Run, record_property: Callable[[str, object], None]
) -> None:
    nodes = await start_cluster(run, replicas=1)
    with job() as scope:
        async with opened(settings(nodes)) as client:
            await burst(client)
            before = ours(nodes)
            lost = next(n for n in nodes if n.port == client.get_node_from_key(KEYS[0]).port)
            lost.process.kill()
            began, most = time.monotonic(), 0

            async def written() -> bool:
                nonlocal most
                most = max(most, *ours(nodes))
                with contextlib.suppress(RedisError):
                    return bool(await client.set(KEYS[0], "after"))
                return False

            await eventually(written, within=40, what="a write on the new primary", every=0.05)
            record_property("seconds to the first write", round(time.monotonic() - began, 2))
            await burst_of_others(client)
            most = max(most, *ours(nodes))
            record_property("connections before and after", (before, ours(nodes)))
            assert most <= POOL
            counted = scope.datastores["redis"].connections()
            assert counted.in_use + counted.idle == sum(ours(nodes))
    assert sum(ours(nodes)) == 0


async def burst_of_others(client: Any) -> None:
    await asyncio.gather(*(client.incr(key) for key in KEYS[1:]))


async def test_more_nodes_than_the_budget_counts_are_told(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    nodes = await start_cluster(run)
    for counted in ("3", "2"):
        with job():
            given = settings(nodes, REDIS_CONNECTIONS_PER_WORKER="9", REDIS_NODES=counted)
            async with opened(given):
                told = [record.message for record in caplog.records if "the budget counts" in record.message]
                assert len(told) == (1 if counted == "2" else 0)


async def test_a_close_after_a_failure_leaves_nothing(run: Run) -> None:
    nodes = await start_cluster(run)
    with job():
        async with opened(settings(nodes)) as client:
            await burst(client)
            nodes[0].process.kill()
            # The first failure ends the burst: what is still dialling or waiting then goes on beside the close.
            with contextlib.suppress(RedisError):
                await burst(client)
    assert sum(ours(nodes)) == 0


async def test_what_still_dials_when_its_job_closes_never_connects(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = await start_cluster(run)
    dialling, goes_on, connect = asyncio.Event(), asyncio.Event(), asyncio.open_connection

    async def slow(**to: Any) -> Any:
        dialling.set()
        await goes_on.wait()
        return await connect(**to)

    with job():
        async with opened(settings(nodes)) as client:
            monkeypatch.setattr(asyncio, "open_connection", slow)
            commands = [asyncio.create_task(client.incr(key)) for key in KEYS]
            await dialling.wait()
        assert ours(nodes) == [0, 0, 0]
    goes_on.set()
    ended = await asyncio.gather(*commands, return_exceptions=True)
    assert all(isinstance(one, RedisError | LifespanError | int) for one in ended), ended
    assert ours(nodes) == [0, 0, 0]


async def test_a_cluster_that_has_gone_is_an_error_of_redis(run: Run) -> None:
    nodes = await start_cluster(run)
    with job():
        async with opened(settings(nodes)) as client:
            await burst(client)
            for node in nodes:
                node.process.kill()
            for _ in range(3):  # the first finds out, the next look for nodes
                with pytest.raises(RedisError):
                    await client.get(KEYS[0])


async def test_mistakes_are_named_and_no_password_is(run: Run) -> None:
    alone = await start_node(run, "a-password")
    for after, says in (
        ("", "no node of a Cluster"),
        ("/3", "no cluster can be read from it"),
        ("?db=3", "no cluster can be read from it"),
        ("?max_connections=50", "its max_connections would override"),
        ("?ssl_password=x", "does not take one of its options .ssl_password."),
        ("?no_such_option=1", "it has an option 'no_such_option'"),
    ):
        with job(), pytest.raises(SettingsError, match=says) as refused:
            async with redis(settings=settings([alone], after)):
                pass
        assert "a-password" not in str(refused.value)
    assert ours([alone]) == [0]
    alone.process.kill()
    with job(), pytest.raises(DatastoreUnavailable, match="cannot be connected") as unreachable:
        async with redis(settings=settings([alone])):
            pass
    assert "a-password" not in str(unreachable.value)
