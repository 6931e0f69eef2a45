"""What this machine must know of a server to run it for a further datastore; its module has one as `SERVER`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from infra.local.kernel import Endpoint
from infra.local.process import Process
from infra.local.run import Run


@dataclass(frozen=True)
class Running:
    """A running server: where its connections are counted, and what a worker must know to reach it."""

    endpoint: Endpoint
    process: Process
    environment: dict[str, str]
    again: Callable[[], Awaitable[Running]]
    """Starts it at the same place, once it has ended."""
    refuses: bool = False
    """Whether it accepts no more connections than its budget has."""


@dataclass(frozen=True)
class Server:
    """How it is built and started, and what is done with its client, which is the agent's."""

    build: Callable[[], object]
    """What is missing, for minutes when nothing is cached. Raises BuildError."""
    start: Callable[[Run, int], Awaitable[Running]]
    """For so many connections, where it can be told. Raises StartFailed."""
    ask: Callable[[Any], Awaitable[object]]
    """The least operation."""
    keep: Callable[[Any, dict[str, str]], Awaitable[object]]
    """A record of a call, as a user's agent would."""
