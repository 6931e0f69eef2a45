"""What answers at REDIS_URL, by its reply to HELLO, which every connection asks for anyway: no round trip more."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection
from redis.exceptions import ReadOnlyError
from redis.utils import str_if_bytes

from agent.runtime.datastores.redis_home import OwnedConnection
from agent.runtime.errors import SettingsError

logger = logging.getLogger("agent.runtime")

HELLO = "HELLO"


class AskingConnection(OwnedConnection):
    """A connection that keeps the server's reply to HELLO, which redis-py's asyncio connections drop, and checks it."""

    hello: Any = None

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        read = self.read_response

        async def read_and_keep(*args: Any, **kwargs: Any) -> Any:
            reply = await read(*args, **kwargs)
            if isinstance(reply, Mapping):
                self.hello = reply
                check_mode(reply)  # at once: a SELECT would fail on it in words of its own
            return reply

        # For the handshake alone: a method would be called for every reply.
        self.read_response = read_and_keep  # type: ignore[method-assign]
        try:
            await super().on_connect_check_health(check_health=check_health)
        finally:
            del self.read_response


class PlainConnection(AskingConnection, Connection):
    pass


class TLSConnection(AskingConnection, SSLConnection):
    pass


CLASSES: dict[type[AbstractConnection], type[AskingConnection]] = {
    Connection: PlainConnection,
    SSLConnection: TLSConnection,
}


class Replica(ReadOnlyError):
    """The server is a read-only replica; or a primary that a fail-over has just made one, so it is asked again."""


def check_mode(hello: Any) -> None:
    """Refuse what a client of one server cannot use, though it connects.

    Raises:
        SettingsError: a node of a Cluster, or a Sentinel.
    """
    mode = _fields(hello).get("mode")
    if mode == "cluster":
        raise SettingsError(
            "environment: REDIS_URL=(hidden): a node of a Redis Cluster answers there (HELLO: mode cluster), which "
            "would send most keys elsewhere (MovedError); accepted: redis+cluster://…, or a server that stands alone"
        )
    if mode == "sentinel":
        raise SettingsError(
            "environment: REDIS_URL=(hidden): a Sentinel answers there (HELLO: mode sentinel), which holds no keys; "
            "accepted: redis+sentinel://…/service, or the server that it watches"
        )


def check_server(hello: Any) -> None:
    """`check_mode`, and that it takes writes.

    Raises:
        SettingsError: see `check_mode`.
        Replica: a read-only replica.
    """
    check_mode(hello)
    said = _fields(hello)
    if said.get("role") in ("replica", "slave"):
        raise Replica(
            "a read-only replica answers at REDIS_URL (HELLO: role replica), which would refuse every write "
            "(ReadOnlyError); accepted: the primary, or an endpoint that follows it"
        )
    if not {"mode", "role"} <= said.keys():
        logger.info(
            "the server at REDIS_URL does not say what it is (no mode and role in its reply to HELLO): taken for one "
            "that stands alone"
        )


def _fields(hello: Any) -> dict[str, Any]:
    """HELLO's reply by name: a map in RESP3, name after value in RESP2."""
    if isinstance(hello, list):
        hello = dict(zip(hello[::2], hello[1::2], strict=False))
    if not isinstance(hello, Mapping):
        return {}
    return {str(str_if_bytes(name)): str_if_bytes(value) for name, value in hello.items()}
