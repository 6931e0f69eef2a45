"""Three ways to open MongoDB and Redis in a job: this project's, the forum's accepted answer, that answer tuned."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from beanie import Document, init_beanie
from pymongo import AsyncMongoClient
from redis.asyncio import BlockingConnectionPool, Redis

from agent.runtime.datastores.mongodb import mongodb
from agent.runtime.datastores.redis import redis
from agent.runtime.datastores.together import together
from agent.runtime.lifespan import LifespanOwner
from agent.runtime.scope import Scope
from agent.runtime.settings import MongoDBSettings, RedisSettings
from infra.local.servers.mongodb import DATABASE

Way = Literal["ours", "forum", "tuned"]
WAYS: tuple[Way, ...] = ("ours", "tuned", "forum")
TITLES: dict[Way, str] = {"ours": "lifespan", "tuned": "(b) tuned by hand", "forum": "(a) forum's answer"}


@dataclass(frozen=True)
class Addresses:
    """URLs of both datastores; Redis's holds a password."""

    mongodb: str
    redis: str


@dataclass(frozen=True)
class Opened:
    """What a job works with, and how it ends."""

    redis: Redis
    close: Callable[[], Awaitable[object]]


async def open_(way: Way, addresses: Addresses, models: Sequence[type[Document]], pool: int = 2) -> Opened:
    """Open both as this way does; `pool` is obeyed by the two that bound theirs."""
    if way == "ours":
        return await _lifespan(addresses, models, pool)
    if way == "forum":
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(addresses.mongodb)
        await init_beanie(database=client[DATABASE], document_models=list(models))
        cache = Redis.from_url(addresses.redis, decode_responses=True)
    else:
        client = AsyncMongoClient(
            addresses.mongodb, maxPoolSize=pool, serverMonitoringMode="poll", tz_aware=True
        )
        await init_beanie(database=client[DATABASE], document_models=list(models), skip_indexes=True)
        bounded = BlockingConnectionPool.from_url(
            addresses.redis, max_connections=pool, decode_responses=True
        )
        cache = Redis.from_pool(bounded)

    async def close() -> None:
        await client.close()
        await cache.aclose()

    return Opened(cache, close)


async def _lifespan(addresses: Addresses, models: Sequence[type[Document]], pool: int) -> Opened:
    """As `agent.runtime.job` does it: one task owns the lifespan; the entrypoint gets what it yields."""
    mongodb_settings = MongoDBSettings.from_environment(
        {"MONGODB_URL": addresses.mongodb, "MONGODB_DATABASE": DATABASE, "MONGODB_POOL": str(pool)}
    )
    redis_settings = RedisSettings.from_environment({"REDIS_URL": addresses.redis, "REDIS_POOL": str(pool)})

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[Redis]:
        opening = together(mongodb(models, settings=mongodb_settings), redis(settings=redis_settings))
        async with opening as (_, cache):
            yield cache

    owner = LifespanOwner(lifespan, Scope("job", close_timeout=8.0), on_death=lambda: None)
    return Opened(await owner.open(10.0), owner.close)
