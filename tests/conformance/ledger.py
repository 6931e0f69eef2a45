"""A datastore of your own, whole: a ledger in PostgreSQL. Each operation's `timeout=` limits its wait for the pool."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import asyncpg
from pydantic import Field, SecretStr

from agent.runtime.datastores.base import Connections, within_share
from agent.runtime.settings import Environment, secret_url


class Settings(Environment):
    url: Annotated[SecretStr, secret_url("postgresql")] = Field(alias="LEDGER_URL")
    pool: int = Field(2, alias="LEDGER_POOL", ge=1)
    worker_pool: int = Field(1, alias="LEDGER_WORKER_POOL", ge=0)


class Ledger:
    name = "ledger"

    def __init__(self, settings: Settings, pool: int) -> None:
        self.pool = asyncpg.create_pool(settings.url.get_secret_value(), min_size=0, max_size=pool, timeout=3)

    async def open(self) -> None:
        await self.pool
        await self.pool.fetchval("SELECT 1", timeout=5)

    async def close(self) -> None:
        await self.pool.close()

    def connections(self) -> Connections:
        idle = self.pool.get_idle_size()
        return Connections(in_use=self.pool.get_size() - idle, idle=idle)


@asynccontextmanager
async def ledger() -> AsyncIterator[asyncpg.Pool[Any]]:
    settings = Settings.from_environment()
    async with within_share(Ledger.name, settings, lambda pool: Ledger(settings, pool)) as datastore:
        yield datastore.pool
