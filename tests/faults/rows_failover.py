"""A primary of Redis is killed in mid-call and its replica takes over: behind Sentinels, and in a Cluster."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from redis.crc import key_slot

from infra.local.processes import sockets
from infra.local.servers.redis_nodes import (
    SLOTS,
    Node,
    can_fail_over,
    start_cluster,
    start_pair,
    start_sentinels,
)
from infra.local.stack import MONGODB, REDIS
from infra.local.worker import Worker
from tests.faults.bench import ESTABLISHED, Bench
from tests.faults.datastore_faults import COMPLETED
from tests.faults.datastores_bench import ASKING, DEADLINES, Proxied
from tests.faults.operations import failures, noted, until_one_succeeds
from tests.faults.patience import eventually
from tests.faults.row import CONNECTIONS, GAUGES, SLOT, Row, Seen, Stopwatch
from tests.faults.rows_mid_call import ERRORS, UNTIL_BACK

SENTINEL = "redis_sentinel"
SERVICE = "calls"
SHARDS = 3
# Half a second (Sentinels) or one (Cluster) until the primary is called down, an election, the clients' retries.
FAILED_OVER_SECONDS = 40.0
# A worker's own client is idle: it may learn of it at its next look.
GAUGES_SECONDS = 10.0


@dataclass(frozen=True)
class Fleet:
    """Redis servers that belong together, as a worker is told of them."""

    environment: Mapping[str, str]
    servers: Sequence[Node]
    sentinels: Sequence[Node] = ()
    shards: int = 1
    """The first so many of `servers` are primaries; keys are spread over them in order."""

    def primary(self, key: str) -> Node:
        return self.servers[key_slot(key.encode()) * self.shards // SLOTS]


async def behind_sentinels(bench: Bench) -> Fleet:
    run = bench.stack.run
    servers = await start_pair(run)
    sentinels = await start_sentinels(run, servers[0], SERVICE)
    await can_fail_over(sentinels, SERVICE)
    hosts = ",".join(sentinel.address for sentinel in sentinels)
    url = f"redis+sentinel://:{servers[0].password}@{hosts}/{SERVICE}/0?sentinel_password={sentinels[0].password}"
    return Fleet({"REDIS_URL": url, "REDIS_SENTINELS": str(len(sentinels))}, servers, sentinels)


async def in_a_cluster(bench: Bench) -> Fleet:
    nodes = await start_cluster(bench.stack.run, shards=SHARDS, replicas=1)
    hosts = ",".join(node.address for node in nodes[:2])
    url = f"redis+cluster://:{nodes[0].password}@{hosts}"
    return Fleet({"REDIS_URL": url, "REDIS_NODES": str(len(nodes))}, nodes, shards=SHARDS)


def _held(pids: Sequence[int], nodes: Sequence[Node]) -> int:
    """Connections of these processes to these servers, as the kernel counts."""
    ports = {node.port for node in nodes}
    return sum(s.remote_port in ports and s.status == ESTABLISHED for pid in pids for s in sockets(pid))


@asynccontextmanager
async def _peak(pid: int, nodes: Sequence[Node]) -> AsyncIterator[list[int]]:
    """The most connections of this process at once, looked at all the time."""
    most = [0]

    async def look() -> None:
        while True:
            most[0] = max(most[0], _held([pid], nodes))
            await asyncio.sleep(0.02)

    looking = asyncio.create_task(look())
    try:
        yield most
    finally:
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking


async def _gauges_true(bench: Bench, worker: Worker, fleet: Fleet) -> float:
    """Wait until the worker's gauges of Redis and its Sentinels are what the kernel says; seconds it took."""
    since, told = Stopwatch(), ""

    async def true() -> bool:
        nonlocal told
        pids = [worker.process.pid, *bench.owners(worker).values()]
        kernel = {REDIS: _held(pids, fleet.servers), SENTINEL: _held(pids, fleet.sentinels)}
        gauges = await bench.gauges(worker)
        told = f"kernel {kernel}, gauges {gauges.connections}"
        return all(gauges.total(name) == number for name, number in kernel.items())

    try:
        await eventually(true, within=GAUGES_SECONDS, what="gauges that say what the kernel says")
    except TimeoutError as error:
        raise TimeoutError(f"{error}: {told}") from None
    return since.seconds


async def _fails_over(bench: Bench, fleet: Fleet) -> Seen:
    async with bench.worker("", {**DEADLINES, **fleet.environment}, entrypoint=ASKING) as worker:
        room = f"{worker.name}-call"
        await bench.dispatch(worker.name, room)
        try:
            return await _in_the_call(bench, worker, fleet, room)
        finally:
            for node in (*fleet.servers, *fleet.sentinels):
                await bench.stack.run.stop(node.process)


async def _in_the_call(bench: Bench, worker: Worker, fleet: Fleet, room: str) -> Seen:
    answered = await until_one_succeeds(bench.marks, room, REDIS, since=0, within=60)
    (pid,) = bench.owners(worker).values()
    pool = int(bench.environment(worker.name, {})["REDIS_POOL"])
    async with _peak(pid, fleet.servers) as most:
        before = _held([pid], fleet.servers)
        began = time.monotonic()
        os.kill(fleet.primary(room).process.pid, signal.SIGKILL)
        back = await until_one_succeeds(bench.marks, room, REDIS, since=began, within=FAILED_OVER_SECONDS)
        await until_one_succeeds(bench.marks, room, REDIS, since=back.ended, within=10)
    gauges = await _gauges_true(bench, worker, fleet)
    assert list(bench.owners(worker).values()) == [pid], "the call goes on"
    others = [o for o in noted(bench.marks, room, MONGODB) if o.ended >= answered.ended]
    assert not any(o.error for o in others), f"{MONGODB}: {failures(others)}"
    assert most[0] <= pool * len(fleet.servers), f"{most[0]} connections of a pool of {pool}"
    after = _held([pid], fleet.servers)
    lost = [o for o in noted(bench.marks, room, REDIS) if o.ended >= began]
    seen = await _ends(bench, worker, fleet, room, pid)
    note = (
        f"the call went on; {failures(lost)}; the job's connections: {before} before, at most {most[0]}, "
        f"{after} after; gauges true {gauges:.1f} s later"
    )
    return Seen(COMPLETED, {**seen, "works again": back.ended - began}, note)


async def _ends(bench: Bench, worker: Worker, fleet: Fleet, room: str, pid: int) -> dict[str, float]:
    """The caller hangs up: nothing of the job is left, at servers and Sentinels."""
    since = Stopwatch()
    await bench.hang_up(room)
    await eventually(lambda: not bench.owners(worker), within=20, what=SLOT)
    free = since.seconds
    nodes = [*fleet.servers, *fleet.sentinels]
    await eventually(lambda: _held([pid], nodes) == 0, within=10, what=CONNECTIONS)
    gone = since.seconds
    await _gauges_true(bench, worker, fleet)

    async def counted() -> bool:
        return (await bench.gauges(worker)).outcomes.get(COMPLETED) == 1

    await eventually(counted, within=10, what="counted as completed")
    return {CONNECTIONS: gone, SLOT: free, GAUGES: since.seconds}


async def sentinels(on: Proxied) -> Seen:
    return await _fails_over(on.bench, await behind_sentinels(on.bench))


async def cluster(on: Proxied) -> Seen:
    return await _fails_over(on.bench, await in_a_cluster(on.bench))


ROWS: list[Row[Proxied]] = [
    Row("Redis behind Sentinels: the primary is killed in mid-call", UNTIL_BACK, ERRORS, sentinels),
    Row("Redis Cluster: a primary is killed in mid-call", UNTIL_BACK, ERRORS, cluster),
]
