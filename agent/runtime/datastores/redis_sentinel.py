"""Sentinels: who is the primary now? Each answer is had over a connection that is closed with it.

redis-py keeps a client with a pool for each Sentinel, for the life of the client, so that a fleet would hold one
connection for each of its jobs to the first Sentinel of every list. Here one question is asked at a time, so that a
lifespan holds at most one connection to one of them, and none at rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from redis.asyncio.connection import AbstractConnection, SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    MasterNotFoundError,
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from agent.runtime.datastores.base import Connections
from agent.runtime.datastores.redis_home import OWNED, RedisHome
from agent.runtime.datastores.redis_hosts import take_apart
from agent.runtime.datastores.redis_pool import BoundedPool, is_held
from agent.runtime.datastores.redis_server import AskingConnection, check_server
from agent.runtime.datastores.urls import read
from agent.runtime.errors import SettingsError
from agent.runtime.settings import RedisSettings

NAME = "redis_sentinel"
PORT = 26379
# To connect, and for the answer. A dead Sentinel is passed over: three of them fit into a call's opening.
SENTINEL_SECONDS = 1.0
ACCEPTED = (
    "accepted: redis[s]+sentinel://[user:password@]host[:port][,host[:port]...]/service[/db] with reserved characters "
    "percent-encoded, sentinel_username and sentinel_password in its query where the Sentinels ask for them"
)


class _FollowingConnection(AskingConnection):
    """Sentinels can be behind: a server that they call the primary is taken for one when it says so itself."""

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        await super().on_connect_check_health(check_health=check_health)
        check_server(self.hello)


class FollowingConnection(_FollowingConnection, SentinelManagedConnection):
    pass


class FollowingTLSConnection(_FollowingConnection, SentinelManagedSSLConnection):
    pass


FOLLOWING: dict[type[AbstractConnection], type[AskingConnection]] = {
    SentinelManagedConnection: FollowingConnection,
    SSLConnection: FollowingTLSConnection,
}


class FollowingPool(SentinelConnectionPool, BoundedPool):
    """A `BoundedPool` whose every new connection goes to the primary that Sentinels name."""


@dataclass(frozen=True)
class SentinelURL:
    """What a URL says of Sentinels, and of the server that they watch."""

    hosts: tuple[tuple[str, int], ...]
    service: str
    server: str = field(repr=False)
    """A redis:// URL without an address."""
    for_sentinels: Mapping[str, Any] = field(repr=False)
    """Their credentials, and TLS as the server's."""


def parse(url: str) -> SentinelURL:
    """Raises SettingsError, which repeats nothing of the URL."""
    try:
        read("REDIS_URL", url, ACCEPTED)
        parts = take_apart(url, default_port=PORT, taken=("sentinel_username", "sentinel_password"))
        service, database = parts.path if len(parts.path) > 1 else (*parts.path, "0")
        return SentinelURL(
            hosts=parts.hosts,
            service=unquote(service),
            server=parts.server.replace("?", f"/{int(database)}?", 1),
            for_sentinels={
                **{name.removeprefix("sentinel_"): value for name, value in parts.taken.items()},
                **{name: value for name, value in parts.options.items() if name.startswith("ssl")},
            },
        )
    except (ValueError, SettingsError):
        raise SettingsError(
            f"environment: REDIS_URL=(hidden): Sentinels cannot be read from it; {ACCEPTED}"
        ) from None


class Sentinels(Sentinel):
    """The Sentinels of one URL, a datastore of its own beside Redis: they have a row of their own in the budget."""

    name = NAME

    def __init__(self, settings: RedisSettings) -> None:
        """Raises SettingsError: `REDIS_URL` cannot be read, or the budget counts fewer Sentinels."""
        self.url = parse(settings.url.get_secret_value())
        if settings.budgeted and len(self.url.hosts) > settings.sentinels:
            raise SettingsError(
                f"environment: REDIS_URL=(hidden) names {len(self.url.hosts)} Sentinels, the budget counts "
                f"{settings.sentinels} (REDIS_SENTINELS): set redis.sentinels in the stack config"
            )
        super().__init__(  # type: ignore[no-untyped-call]
            self.url.hosts,
            sentinel_kwargs={
                **self.url.for_sentinels,
                # No HELLO: where there is no password, the question is the first thing sent.
                "protocol": 2,
                "driver_info": None,
                "decode_responses": True,
                "retry": Retry(NoBackoff(), 0),
                "socket_connect_timeout": SENTINEL_SECONDS,
                "socket_timeout": SENTINEL_SECONDS,
            },
        )
        self._one_at_a_time = asyncio.Lock()
        self._home = RedisHome(NAME)
        for sentinel in self.sentinels:
            pool = sentinel.connection_pool
            pool.connection_class = OWNED[pool.connection_class]
            pool.connection_kwargs["home"] = self._home

    async def open(self) -> None:
        """Nothing: Redis is opened next, and asks."""

    async def close(self) -> None:
        try:
            await self._home.leave()
        finally:
            await self.aclose()

    def connections(self) -> Connections:
        asked = [sentinel.connection_pool._in_use_connections for sentinel in self.sentinels]  # noqa: SLF001
        return Connections(in_use=sum(is_held(connection) for pool in asked for connection in pool))

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """The primary's address, from the first Sentinel that knows one.

        Raises:
            MasterNotFoundError: none answers, or those that do know no healthy primary of that name; what each said.
        """
        said = []
        async with self._one_at_a_time:
            for place, sentinel in enumerate(self.sentinels):
                where = "{host}:{port}".format(**sentinel.connection_pool.connection_kwargs)
                try:
                    masters = await sentinel.sentinel_masters()
                except AuthenticationError:
                    said.append(
                        f"{where}: refuses sentinel_username and sentinel_password of REDIS_URL's query"
                    )
                    continue
                except (RedisConnectionError, RedisTimeoutError) as error:
                    said.append(f"{where}: {type(error).__name__}")
                    continue
                except ResponseError as error:
                    said.append(f"{where}: is no Sentinel, or does not let this user ask ({error})")
                    continue
                finally:
                    await sentinel.connection_pool.disconnect()
                state = masters.get(service_name) if isinstance(masters, dict) else None
                if state is None:
                    said.append(f"{where}: watches no {service_name!r}")
                elif not self.check_master_state(state, service_name):
                    said.append(f"{where}: its primary is down")
                else:
                    # The one that knew is asked first the next time.
                    self.sentinels.insert(0, self.sentinels.pop(place))
                    return str(state["ip"]), int(state["port"])
        raise MasterNotFoundError(f"no Sentinel knows a primary of {service_name!r} ({'; '.join(said)})")
