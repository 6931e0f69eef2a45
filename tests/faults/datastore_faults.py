"""What is done to a datastore while workers reach it through a proxy, and what rows about it share."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from infra.local.stack import MONGODB, REDIS
from infra.local.worker import Worker
from tests.faults.bench import Job
from tests.faults.datastores_bench import Proxied
from tests.faults.operations import until_one_succeeds
from tests.faults.proxy import Mode
from tests.faults.row import Seen, Stopwatch

COMPLETED, FAILED = "completed", "failed"
TITLES = {MONGODB: "MongoDB", REDIS: "Redis"}
# Back to more than the stack needs.
MAXCLIENTS = 1_000


@dataclass(frozen=True)
class On:
    """The servers behind proxies, and one worker that these rows share."""

    at: Proxied
    worker: Worker


Inject = Callable[[On], Awaitable[Seen]]
Do = Callable[[On], Awaitable[None]]


def mode(datastore: str, mode: Mode, *, delay: float = 0.0, after: int = 0) -> Do:
    async def do(on: On) -> None:
        await on.at.proxies[datastore].set(mode, delay=delay, after=after)

    return do


def server_dies_and_starts(datastore: str) -> Do:
    async def do(on: On) -> None:
        await on.at.kill(datastore)
        await on.at.start(datastore)

    return do


async def nothing(_: On) -> None:
    """What was done has ended by itself."""


def configured(option: str, value: str) -> Do:
    """Set an option of the running Valkey, on a connection past the proxy that it has already let in."""

    async def do(on: On) -> None:
        await on.at.operator.config_set(option, value)

    return do


async def usual(on: On) -> None:
    """Valkey as it was started."""
    stack = on.at.bench.stack
    await on.at.operator.config_set("maxclients", str(MAXCLIENTS))
    await on.at.operator.config_set("requirepass", stack.redis.password)


async def password_changed(on: On) -> None:
    """Of MongoDB's user. Connections that are open stay so; new ones are asked for it."""
    await on.at.mongodb_password(secrets.token_hex(16))


async def password_back(on: On) -> None:
    await on.at.mongodb_password(on.at.bench.stack.mongodb.password)


async def both_answer(on: On, room: str) -> None:
    for name in (MONGODB, REDIS):
        await until_one_succeeds(on.at.bench.marks, room, name, since=0, within=10)


async def ended(on: On, job: Job) -> Seen:
    """End the call and see that nothing is left of it."""
    since = Stopwatch()
    await on.at.bench.hang_up(job.room)
    return Seen(COMPLETED, await on.at.bench.truth(job, since, COMPLETED))
