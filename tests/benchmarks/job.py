"""A job's process, as LiveKit makes one: forked from a server that has imported everything, then told to start.

It says over a pipe how long it took from its first line to the first document and the first Redis value, and then does
what it is asked, until it is asked to close.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, Literal

import psutil
from beanie import Document
from redis.asyncio import Redis

from agent.runtime import metrics
from agent.runtime.prewarm import JobPrewarm
from tests.benchmarks.models import documents
from tests.benchmarks.ways import Addresses, Opened, Way, open_

if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
    metrics.install()

KEY = "key"
Kind = Literal["mongodb", "redis"]


def run(pipe: Connection, way: Way, addresses: Addresses, sizes: tuple[int, int], slot: str) -> None:
    """The process's whole life; `multiprocessing` calls it. `slot` is nobody else's while it lives."""
    models, pool = sizes
    # As an import of the agent's module does, before the call.
    classes = documents(models)
    if way == "ours":
        os.environ |= {"MONGODB_URL": addresses.mongodb, "REDIS_URL": addresses.redis}
        metrics.own(slot)
        JobPrewarm("benchmark", None)(None)  # type: ignore[arg-type]  # only the user's own prewarm looks at it
    pipe.send("ready")
    pipe.recv()
    asyncio.run(_job(pipe, way, addresses, classes, pool))


async def _job(
    pipe: Connection, way: Way, addresses: Addresses, classes: Sequence[type[Document]], pool: int
) -> None:
    began, began_cpu = time.perf_counter(), time.process_time()
    opened = await open_(way, addresses, classes, pool)
    found = await classes[0].find_one({"key": KEY})
    value = await opened.redis.get(KEY)
    took = time.perf_counter() - began, time.process_time() - began_cpu
    assert found is not None
    assert value == KEY
    pipe.send(took)
    await _obey(pipe, classes[0], opened)


async def _obey(pipe: Connection, model: type[Document], opened: Opened) -> None:
    asked = asyncio.Event()
    asyncio.get_running_loop().add_reader(pipe.fileno(), asked.set)
    while True:
        await asked.wait()
        asked.clear()
        if not pipe.poll():
            continue
        match pipe.recv():
            case ("burst", int(width)):
                pipe.send(await _burst(model, opened.redis, width))
            case ("load", str(kind), int(width), float(seconds)):
                operation = operations(model, opened.redis)[kind]
                pipe.send(await _load(operation, width, seconds))
            case "memory":
                pipe.send(psutil.Process().memory_full_info().uss)
            case _:
                break
    await opened.close()
    asyncio.get_running_loop().remove_reader(pipe.fileno())
    pipe.send("closed")


def operations(model: type[Document], cache: Redis) -> dict[str, Callable[[], Awaitable[Any]]]:
    """One read of each datastore."""
    return {"mongodb": lambda: model.find_one({"key": KEY}), "redis": lambda: cache.get(KEY)}


async def _burst(model: type[Document], cache: Redis, width: int) -> float:
    """Seconds for so many operations at once on each datastore; infinite where one failed."""
    began = time.perf_counter()
    both = operations(model, cache).values()
    results = await asyncio.gather(
        *(operation() for operation in both for _ in range(width)), return_exceptions=True
    )
    failed = any(isinstance(result, BaseException) for result in results)
    return float("inf") if failed else time.perf_counter() - began


async def _load(operation: Callable[[], Awaitable[Any]], width: int, seconds: float) -> list[float]:
    """Seconds of each operation, `width` at once for so long."""
    took: list[float] = []
    until = time.perf_counter() + seconds

    async def one_after_the_other() -> None:
        while (began := time.perf_counter()) < until:
            await operation()
            took.append(time.perf_counter() - began)

    await asyncio.gather(*(one_after_the_other() for _ in range(width)))
    return took
