"""Redis behind Sentinels: the primary is found and followed, and no Sentinel is held when nobody asks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import pytest
from redis.exceptions import RedisError

from agent.runtime import metrics
from agent.runtime.datastores.base import Connections
from agent.runtime.datastores.redis import redis
from agent.runtime.datastores.redis_sentinel import parse
from agent.runtime.errors import DatastoreUnavailable, SettingsError
from agent.runtime.scope import Scope, lifespan_scope
from agent.runtime.settings import RedisSettings
from infra.budget.redis import LINKS_FROM_SENTINEL
from infra.local.eventually import eventually
from infra.local.kernel import HELD
from infra.local.processes import sockets
from infra.local.run import Run
from infra.local.servers.redis_nodes import Node, can_fail_over, start_pair, start_sentinels

pytestmark = pytest.mark.integration

SERVICE = "calls"
POOL = 2


class Watched:
    """A primary, a replica, three Sentinels."""

    def __init__(self, servers: list[Node], sentinels: list[Node]) -> None:
        self.servers, self.sentinels = servers, sentinels

    def url(self, *, service: str = SERVICE, sentinel_password: str | None = None) -> str:
        password = self.sentinels[0].password if sentinel_password is None else sentinel_password
        hosts = ",".join(sentinel.address for sentinel in self.sentinels)
        return (
            f"redis+sentinel://:{self.servers[0].password}@{hosts}/{service}/0?sentinel_password={password}"
        )

    def settings(self, **url: str) -> RedisSettings:
        return RedisSettings.from_environment({"REDIS_URL": self.url(**url), "REDIS_POOL": str(POOL)})


def ours(nodes: list[Node], pid: int | None = None) -> int:
    """Connections of this process, or of another, to these servers, as the kernel has them."""
    ports = {node.port for node in nodes}
    return sum(s.status in HELD and s.remote_port in ports for s in sockets(pid or os.getpid()))


class Peak:
    """The most connections of this process seen at once, counted on a thread: the loop is busy in a burst."""

    def __init__(self, nodes: list[Node]) -> None:
        self._nodes, self._stop, self.seen = nodes, threading.Event(), [0]
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._stop.wait(0.005):
            self.seen.append(ours(self._nodes))

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def most(self) -> int:
        return max(self.seen)


@pytest.fixture
async def run() -> AsyncIterator[Run]:
    metrics.keep_in_memory()
    async with Run("test-redis-sentinel") as run:
        yield run


@pytest.fixture
async def watched(run: Run) -> Watched:
    servers = await start_pair(run)
    watched = Watched(servers, await start_sentinels(run, servers[0], SERVICE))
    await can_fail_over(watched.sentinels, SERVICE)
    return watched


@contextmanager
def job() -> Iterator[Scope]:
    with lifespan_scope(Scope("job", 3.0)) as scope:
        yield scope


async def test_a_burst_stays_within_the_pool_and_asks_one_sentinel_at_a_time(watched: Watched) -> None:
    with Peak(watched.servers) as to_redis, Peak(watched.sentinels) as to_sentinels, job() as scope:
        async with redis(settings=watched.settings()) as client:
            await asyncio.gather(*(client.incr("calls") for _ in range(50)))
            assert await client.get("calls") == "50"
            assert scope.datastores["redis"].connections() == Connections(idle=POOL)
            assert scope.datastores["redis_sentinel"].connections() == Connections()
            assert (ours(watched.servers), ours(watched.sentinels)) == (POOL, 0)
    assert (ours(watched.servers), ours(watched.sentinels)) == (0, 0)
    assert to_redis.most == POOL
    assert to_sentinels.most <= 1


@pytest.mark.parametrize("how", ["killed", "asked"])
async def test_a_fail_over_in_mid_call_is_followed(
    watched: Watched, how: str, record_property: Callable[[str, object], None]
) -> None:
    with job() as scope:
        async with redis(settings=watched.settings()) as client:
            await client.set("before", 1)
            assert await client.wait(1, 5000) == 1
            await asyncio.gather(*(client.get("before") for _ in range(10)))
            before = ours(watched.servers)
            if how == "killed":
                watched.servers[0].process.kill()
            else:
                async with watched.sentinels[0].operator() as operator:
                    await operator.sentinel_failover(SERVICE)
            began = time.monotonic()

            async def moved() -> bool:
                with contextlib.suppress(RedisError):
                    await client.set("after", 1)
                    return ours(watched.servers[1:]) > 0
                return False

            with Peak(watched.servers) as to_redis, Peak(watched.sentinels) as to_sentinels:
                await eventually(moved, within=30, what="a write on the new primary", every=0.05)
                first_write = time.monotonic() - began
                assert await client.get("before") == "1"
                await asyncio.gather(*(client.get("before") for _ in range(10)))
            held = scope.datastores["redis"].connections()
            await eventually(
                lambda: ours(watched.servers) == held.in_use + held.idle, within=5, what="gauge as the kernel"
            )
            record_property("seconds to the first write", round(first_write, 2))
            record_property("connections before and after", (before, ours(watched.servers)))
    assert to_redis.most <= POOL
    assert to_sentinels.most <= 1
    assert ours([*watched.servers, *watched.sentinels]) == 0


async def test_sentinels_hold_what_the_budget_counts(watched: Watched) -> None:
    first, *others = watched.sentinels

    def held() -> tuple[int, int]:
        to_redis = sum(ours(watched.servers[:1], sentinel.process.pid) for sentinel in watched.sentinels)
        return to_redis, sum(ours([first], other.process.pid) for other in others)

    expected = (3 * LINKS_FROM_SENTINEL, len(others))
    await eventually(lambda: held() == expected, within=10, what="links of the Sentinels")


async def test_dead_sentinels_are_passed_over(watched: Watched) -> None:
    for sentinel in watched.sentinels[:2]:
        sentinel.process.kill()
    with job():
        async with redis(settings=watched.settings()) as client:
            assert await client.set("a", 1)


async def refusal(settings: RedisSettings) -> str:
    with job(), pytest.raises((DatastoreUnavailable, SettingsError)) as refused:
        async with redis(settings=settings):
            pass
    return str(refused.value)


async def test_mistakes_are_named_and_no_password_is(watched: Watched) -> None:
    said = {
        "service": await refusal(watched.settings(service="other")),
        "password": await refusal(watched.settings(sentinel_password="wrong-password")),
    }
    assert "no Sentinel knows a primary of 'other'" in said["service"]
    assert "watches no 'other'" in said["service"]
    assert "refuses sentinel_username and sentinel_password of REDIS_URL's query" in said["password"]
    secrets = {watched.servers[0].password, watched.sentinels[0].password, "wrong-password"}
    assert not [word for word in secrets if any(word in text for text in said.values())]
    server = watched.servers[0]
    url = (
        f"redis+sentinel://:{server.password}@{server.address}/{SERVICE}?sentinel_password={server.password}"
    )
    assert "is no Sentinel" in await refusal(RedisSettings.from_environment({"REDIS_URL": url}))
    counted = {"REDIS_URL": watched.url(), "REDIS_CONNECTIONS_PER_WORKER": "9", "REDIS_SENTINELS": "2"}
    assert "names 3 Sentinels, the budget counts 2 (REDIS_SENTINELS)" in await refusal(
        RedisSettings.from_environment(counted)
    )


def test_a_url_is_taken_apart() -> None:
    url = parse(
        "rediss+sentinel://u:p%40%2F@a,b:1,[::1]:2/my%20calls/3?sentinel_password=s&ssl_ca_certs=/ca.pem"
    )
    assert url.hosts == (("a", 26379), ("b", 1), ("::1", 2))
    assert (url.service, url.server) == ("my calls", "rediss://u:p%40%2F@/3?ssl_ca_certs=%2Fca.pem")
    assert url.for_sentinels == {"password": "s", "ssl": True, "ssl_ca_certs": "/ca.pem"}
    assert "p%40" not in repr(url)


@pytest.mark.parametrize(
    "rest", ["a:1", "a:1/", "/service", "a:x/service", "a,,b/service", "a/service/not-a-number"]
)
def test_a_url_that_is_none_is_refused(rest: str) -> None:
    with pytest.raises(SettingsError, match="Sentinels cannot be read from it; accepted: ") as refused:
        parse(f"redis+sentinel://:secret-word@{rest}")
    assert "secret-word" not in str(refused.value)
