"""A REDIS_URL that names several hosts: `redis[s]+sentinel://…` and `redis[s]+cluster://…`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from redis.asyncio.connection import SSLConnection, parse_url


@dataclass(frozen=True)
class SeveralHosts:
    """Such a URL in its parts. Its representation shows no secret."""

    hosts: tuple[tuple[str, int], ...]
    path: tuple[str, ...]
    server: str
    """The same for one server: redis:// or rediss:// with user and query, without host and path."""
    taken: Mapping[str, str]
    """Query options that are not for the server."""
    options: Mapping[str, Any]
    """What `server` says, as redis-py reads it, but for `connection_class`: that is `ssl`, where it is on."""

    def __repr__(self) -> str:
        return f"SeveralHosts({self.hosts}, {self.path})"


def kind_of(url: str) -> str:
    """`sentinel`, `cluster`, or nothing for a plain URL."""
    return url.partition("://")[0].partition("+")[2]


def take_apart(url: str, *, default_port: int, taken: tuple[str, ...] = ()) -> SeveralHosts:
    """Raises ValueError, whose text is not to be shown: it may repeat part of the URL."""
    # Not by urlsplit: some releases of Python refuse brackets anywhere but around a single host (3.11.2 of Debian).
    scheme, _, rest = url.partition("://")
    rest, _, asked = rest.partition("?")
    place, _, path = rest.partition("/")
    user, at, hosts = place.rpartition("@")
    query = dict(parse_qsl(asked, keep_blank_values=True))
    apart = {name: query.pop(name) for name in taken if name in query}
    server = f"{scheme.partition('+')[0]}://{user}{at}?{urlencode(query, quote_via=quote)}"
    options: dict[str, Any] = dict(parse_url(server))
    if options.pop("connection_class", None) is SSLConnection:
        options["ssl"] = True
    return SeveralHosts(
        hosts=tuple(_address(host, default_port) for host in hosts.split(",")),
        path=tuple(part for part in path.split("/") if part),
        server=server,
        taken=apart,
        options=options,
    )


def _address(text: str, default_port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError("no host")
    return parts.hostname, parts.port or default_port
