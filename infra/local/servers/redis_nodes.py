"""Valkey servers that belong together: replicas, Sentinels, the nodes of a Cluster."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from redis.asyncio import Redis

from infra.local.eventually import eventually
from infra.local.ports import LOOPBACK, free_port, retry_on_clash
from infra.local.process import Process
from infra.local.run import Run
from infra.local.servers.probes import answers_line
from infra.local.servers.redis import START_SECONDS, config
from infra.supply.binaries import binary

SLOTS = 16384


@dataclass
class Node:
    """One server."""

    process: Process
    port: int
    password: str = field(repr=False)
    bus: int = 0
    """Where the nodes of a Cluster talk to each other."""
    command: tuple[str | Path, ...] = ()

    async def start_again(self, run: Run) -> Node:
        """After its end: with the same configuration, at the same place."""
        process = run.start(f"valkey-{self.port}", self.command)
        await process.ready(lambda: _answers(self.port, self.password), within=START_SECONDS)
        return replace(self, process=process)

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{self.address}/0"

    async def follows(self) -> bool:
        """It is a replica that has its primary's data."""
        async with self.operator() as operator:
            return (await operator.info("replication")).get("master_link_status") == "up"

    def operator(self) -> Redis:
        """A client of its own, to be left again."""
        return Redis(host=LOOPBACK, port=self.port, password=self.password, decode_responses=True)


async def start_node(
    run: Run, password: str, lines: Sequence[str] = (), *, maxclients: int = 100, sentinel: bool = False
) -> Node:
    """Start a server with further `lines` of configuration, `{bus}` in them being a free port of its own."""

    async def once() -> Node:
        port, bus = free_port(), free_port()
        name = f"valkey-{port}"
        own = config(port, run.directory(name), password, maxclients)
        # A replica has its copy at once, not after the 5 s in which others could join.
        servers_own = [] if sentinel else [f"masterauth {password}", "repl-diskless-sync-delay 0"]
        further = "\n".join([*lines, *servers_own]).format(bus=bus)
        file = run.private_file(f"{name}.conf", f"{own}{further}\n")
        command: tuple[str | Path, ...] = (binary("valkey-server"), file)
        if sentinel:
            command = (*command, "--sentinel")
        process = run.start(name, command)
        await process.ready(lambda: _answers(port, password), within=START_SECONDS)
        return Node(process, port, password, bus, command)

    return await retry_on_clash(once)


async def _answers(port: int, password: str) -> bool:
    return await answers_line(port, f"AUTH {password}\r\nPING\r\n".encode(), b"+PONG")


async def start_pair(run: Run, *, replicas: int = 1) -> list[Node]:
    """A primary, first, and its replicas."""
    password = secrets.token_urlsafe(24)
    primary = await start_node(run, password)
    follow = f"replicaof {LOOPBACK} {primary.port}"
    followers = [await start_node(run, password, [follow]) for _ in range(replicas)]
    for follower in followers:
        await eventually(follower.follows, within=START_SECONDS, what="a replica with its copy", every=0.1)
    return [primary, *followers]


async def start_sentinels(run: Run, primary: Node, service: str, *, down_after_ms: int = 500) -> list[Node]:
    """Three that watch `primary` by the name `service`, with a password of their own; a majority may fail it over."""
    password = secrets.token_urlsafe(24)
    lines = [
        f"sentinel monitor {service} {LOOPBACK} {primary.port} 2",
        f"sentinel auth-pass {service} {primary.password}",
        f"sentinel down-after-milliseconds {service} {down_after_ms}",
        f"sentinel failover-timeout {service} 3000",
        f"sentinel sentinel-pass {password}",
    ]
    return [await start_node(run, password, lines, sentinel=True) for _ in range(3)]


async def can_fail_over(sentinels: Sequence[Node], service: str) -> None:
    """Wait until every Sentinel knows the replica and the other Sentinels."""

    async def ready() -> bool:
        for sentinel in sentinels:
            async with sentinel.operator() as operator:
                state = (await operator.sentinel_masters())[service]  # type: ignore[call-overload]
                known = (state["num-slaves"], state["num-other-sentinels"])
                if known != (1, len(sentinels) - 1) or not state["is_master"]:
                    return False
        return True

    await eventually(ready, within=2 * START_SECONDS, what="Sentinels that know each other", every=0.2)


async def start_cluster(
    run: Run, *, shards: int = 3, replicas: int = 0, timeout_ms: int = 1000
) -> list[Node]:
    """The nodes of a Cluster: a primary for each shard, then the replicas, the first of each before the second.

    A node that is silent for `timeout_ms` is failed over by its replica.
    """
    password = secrets.token_urlsafe(24)
    lines = ["cluster-enabled yes", "cluster-port {bus}", f"cluster-node-timeout {timeout_ms}"]
    nodes = [await start_node(run, password, lines) for _ in range(shards * (1 + replicas))]
    async with contextlib.AsyncExitStack() as stack:
        operators = [await stack.enter_async_context(node.operator()) for node in nodes]
        for place, operator in enumerate(operators[:shards]):
            first, last = (SLOTS * place // shards, SLOTS * (place + 1) // shards - 1)
            await operator.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
            await operator.execute_command("CLUSTER SET-CONFIG-EPOCH", place + 1)
        for node in nodes[1:]:
            await operators[0].execute_command("CLUSTER MEET", LOOPBACK, node.port, node.bus)
        ids = [await operator.execute_command("CLUSTER MYID") for operator in operators]

        async def met() -> bool:
            known = [await operator.execute_command("CLUSTER INFO") for operator in operators]
            return all(int(info["cluster_known_nodes"]) == len(nodes) for info in known)

        await eventually(met, within=START_SECONDS, what="nodes that know each other", every=0.1)
        for place, operator in enumerate(operators[shards:]):
            await operator.execute_command("CLUSTER REPLICATE", ids[place % shards])
        for node in nodes[shards:]:
            await eventually(node.follows, within=START_SECONDS, what="a replica with its copy", every=0.1)

        async def whole() -> bool:
            infos = [await operator.execute_command("CLUSTER INFO") for operator in operators]
            return all(info["cluster_state"] == "ok" for info in infos)

        await eventually(whole, within=START_SECONDS, what="a cluster that takes writes", every=0.1)
    return nodes
