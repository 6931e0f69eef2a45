"""A Redis Cluster by redis-py's RedisCluster, with a bounded pool to each node that waits instead of growing.

redis-py by itself raises where a node's pool is empty, keeps one connection more to each node of its URL, connects
again after it was closed, and leaves its sockets open when it is closed after a failure.
"""

from __future__ import annotations

import asyncio
import collections
import logging
import time
from collections.abc import Iterable
from typing import Any, NoReturn, cast

from redis._parsers import AsyncCommandsParser
from redis.asyncio.cluster import ClusterNode, NodesManager, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.event import EventDispatcher
from redis.exceptions import ClusterDownError, MaxConnectionsError, RedisClusterException, SlotNotCoveredError
from redis.exceptions import ConnectionError as RedisConnectionError

from agent.runtime import metrics
from agent.runtime.datastores import redis_url
from agent.runtime.datastores.base import Connections
from agent.runtime.datastores.redis_home import OWNED, RedisHome
from agent.runtime.datastores.redis_hosts import take_apart
from agent.runtime.datastores.redis_pool import NAME, is_held
from agent.runtime.datastores.urls import read, refuse
from agent.runtime.errors import CLIENTS_DO_NOT_TRAVEL, SettingsError
from agent.runtime.settings import RedisSettings

logger = logging.getLogger("agent.runtime")

PORT = 6379
ACCEPTED = (
    "accepted: redis[s]+cluster://[user:password@]host[:port][,host[:port]...] with reserved characters "
    "percent-encoded, and no database but 0"
)


class BoundedNode(ClusterNode):
    """A node whose pool is waited for."""

    __slots__ = ("_home", "_wait_seconds", "_waiting")

    def __init__(
        self, node: ClusterNode, options: dict[str, Any], home: RedisHome, wait_seconds: float
    ) -> None:
        super().__init__(node.host, node.port, node.server_type, **{**options, "home": home})
        self.connection_class = OWNED[self.connection_class]
        self._home = home
        self._wait_seconds = wait_seconds
        self._waiting: collections.deque[asyncio.Future[None]] = collections.deque()

    def acquire_connection(self) -> Any:
        self._home.check()
        return super().acquire_connection()

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        await self._turn()
        return await super().execute_command(*args, **kwargs)

    async def execute_pipeline(self, commands: Any) -> bool:
        await self._turn()
        return await super().execute_pipeline(commands)

    def release(self, connection: Any) -> None:
        super().release(connection)
        self.wake()

    async def _disconnect_and_release(self, connection: Any) -> None:
        try:
            await super()._disconnect_and_release(connection)
        finally:
            self.wake()

    def wake(self) -> None:
        """Let the next one look whether there is a place for it."""
        while self._waiting:
            if not (waiter := self._waiting.popleft()).done():
                waiter.set_result(None)
                return

    def wake_all(self) -> None:
        while self._waiting:
            self.wake()

    async def _turn(self) -> None:
        """Wait until a connection is free or may be opened. The caller takes it before its next await."""
        started = time.perf_counter()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._wait_seconds
        while not self._free and len(self._connections) >= self.max_connections:
            self._home.check()
            waiter: asyncio.Future[None] = loop.create_future()
            self._waiting.append(waiter)
            try:
                async with asyncio.timeout_at(deadline):
                    await waiter
            except TimeoutError:
                raise MaxConnectionsError(
                    f"no connection to {self.name} was free within {self._wait_seconds:g} s"
                ) from None
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled():
                    self.wake()  # it was this one's turn
                raise
        metrics.CHECKOUT_SECONDS.labels(NAME).observe(time.perf_counter() - started)

    def connections(self) -> Connections:
        idle = sum(map(is_held, self._free))
        return Connections(in_use=sum(map(is_held, self._connections)) - idle, idle=idle)


class BoundedNodes(NodesManager):
    """Keeps one `BoundedNode` for each address: redis-py makes another for what its URL named already."""

    def __init__(
        self, manager: NodesManager, dispatcher: EventDispatcher, home: RedisHome, wait_seconds: float
    ) -> None:
        super().__init__(
            [], manager.require_full_coverage, manager.connection_kwargs, event_dispatcher=dispatcher
        )
        self._home = home
        self._wait_seconds = wait_seconds
        self.startup_nodes = {name: self._bounded(node) for name, node in manager.startup_nodes.items()}

    def _bounded(self, node: ClusterNode) -> BoundedNode:
        if isinstance(node, BoundedNode):
            return node
        known = self.nodes_cache.get(node.name) or self.startup_nodes.get(node.name)
        if not isinstance(known, BoundedNode):
            return BoundedNode(node, self.connection_kwargs, self._home, self._wait_seconds)
        known.server_type = node.server_type
        return known

    def set_nodes(
        self, old: dict[str, ClusterNode], new: dict[str, ClusterNode], remove_old: bool = False
    ) -> None:
        new = {name: self._bounded(node) for name, node in new.items()}
        if old is not self.startup_nodes:
            super().set_nodes(old, new, remove_old)
            return
        # The same nodes: redis-py would have each dial anew. What the URL called otherwise is left.
        left = {name: old.pop(name) for name in list(old) if remove_old and name not in new}
        super().set_nodes(left, {}, remove_old=True)
        old.update(new)

    async def initialize(self, *args: Any, **kwargs: Any) -> None:
        await super().initialize(*args, **kwargs)
        # Nodes that are left have closed before others dial in their place.
        await asyncio.gather(*self._background_tasks, return_exceptions=True)

    async def move_slot(self, e: Any) -> None:
        if self.get_node(host=e.host, port=e.port) is None:
            found = self._bounded(ClusterNode(e.host, e.port, "primary", **self.connection_kwargs))
            self.nodes_cache[found.name] = found
        await super().move_slot(e)

    def all(self) -> Iterable[BoundedNode]:
        found = {id(node): node for node in (*self.nodes_cache.values(), *self.startup_nodes.values())}
        return [node for node in found.values() if isinstance(node, BoundedNode)]


class CommandsOnDemand(AsyncCommandsParser):
    """Asks where a command has its keys when it is first used.

    redis-py asks for all commands at every opening: 0.1 s of a core, in which nothing else of the call runs.
    """

    __slots__ = ("_nodes", "_one_at_a_time")

    def __init__(self, nodes: BoundedNodes) -> None:
        super().__init__()
        self._nodes = nodes
        self._one_at_a_time = asyncio.Lock()

    async def initialize(self, node: Any = None) -> None:
        if node:
            self.node = node

    async def get_keys(self, *args: Any) -> Any:
        name = str(args[0]).lower().split(maxsplit=1)[0]
        if name not in self.commands:
            async with self._one_at_a_time:
                if name not in self.commands:
                    self.commands |= await self._ask(name)
        return await super().get_keys(*args)

    async def _ask(self, name: str) -> dict[str, Any]:
        """Any node knows: one that is just failing over must not keep others' commands from being sent."""
        nodes = [self.node, *(node for node in self._nodes.all() if node is not self.node)]
        for node in nodes:
            try:
                told = await node.execute_command("COMMAND INFO", name)
            except RedisConnectionError:
                if node is nodes[-1]:
                    raise
            else:
                return dict(node.response_callbacks["COMMAND"]([command for command in told if command]))
        raise AssertionError("unreachable")


class ClusterUnavailable(RedisClusterException, RedisConnectionError):
    """No node answers, or none knows all slots. redis-py's own is no RedisError, which agents catch."""


class ClusterClient(RedisCluster):
    """A `RedisCluster` over bounded pools, that stays closed and does not travel into another process."""

    # A reply that did not come in time is not asked for again: the server may have carried the command out.
    ERRORS_ALLOW_RETRY = cast("Any", (RedisConnectionError, ClusterDownError, SlotNotCoveredError))

    def __init__(self, home: RedisHome, wait_seconds: float, **options: Any) -> None:
        dispatcher = EventDispatcher()
        super().__init__(event_dispatcher=dispatcher, **options)
        self._home = home
        self.nodes_manager = nodes = BoundedNodes(self.nodes_manager, dispatcher, home, wait_seconds)
        self.commands_parser = CommandsOnDemand(nodes)

    async def initialize(self, *args: Any, **kwargs: Any) -> RedisCluster:
        self._home.check()
        try:
            return await super().initialize(*args, **kwargs)
        except RedisClusterException as error:
            raise ClusterUnavailable(str(error)) from error

    def __reduce__(self) -> NoReturn:
        raise TypeError(CLIENTS_DO_NOT_TRAVEL)


class RedisClusterDatastore:
    """A client over a bounded pool to each node; pub/sub and transactions take their connections from it."""

    name = NAME

    def __init__(self, settings: RedisSettings, pool: int, *, decode_responses: bool = True) -> None:
        """`pool` is the number of connections to each node."""
        url = settings.url.get_secret_value()
        try:
            read(redis_url.VARIABLE, url, ACCEPTED)
            parts = take_apart(url, default_port=PORT)
            if parts.path not in ((), ("0",)) or parts.options.get("db"):
                raise ValueError("a database")
        except (ValueError, SettingsError):
            refuse(redis_url.VARIABLE, f"no cluster can be read from it; {ACCEPTED}")
        options = redis_url.arguments(settings, parts.server, pool, decode_responses=decode_responses)
        for name in ("timeout", "retry", "retry_on_timeout"):  # the pool's, and the whole client's below
            options.pop(name)
        self._home = RedisHome(NAME)
        self._counted = settings.nodes if settings.budgeted else None
        try:
            self.client = ClusterClient(
                self._home,
                settings.wait_seconds,
                startup_nodes=[ClusterNode(host, port) for host, port in parts.hosts],
                retry=Retry(NoBackoff(), redis_url.RETRIES),
                **{**parts.options, **options},
            )
        except TypeError:  # ssl_ca_path, ssl_password: a client of one server knows them
            names = ", ".join(sorted(parts.options.keys() - {"password", "username"}))
            refuse(redis_url.VARIABLE, f"redis-py's RedisCluster does not take one of its options ({names})")

    async def open(self) -> None:
        try:
            await self.client.initialize()
        except RedisClusterException as error:
            if "Cluster mode is not enabled" not in str(error):
                raise
            refuse(
                redis_url.VARIABLE,
                "what answers there is no node of a Cluster, or does not let this user ask for CLUSTER SLOTS; "
                "accepted: a Cluster's nodes, or redis:// for one server",
            )

        nodes = len(self._nodes())
        if self._counted is not None and nodes > self._counted:
            logger.warning(
                "the Redis Cluster has %d nodes, the budget counts %d (REDIS_NODES): this worker may hold more "
                "connections than it says; set redis.cluster in the stack config",
                nodes,
                self._counted,
            )

    async def close(self) -> None:
        nodes = self._nodes()
        try:
            # redis-py's own does nothing when its last command failed, and knows no node that has left the cluster.
            await self._home.leave()
        finally:
            for node in nodes:
                node.wake_all()
            await self.client.aclose()

    def connections(self) -> Connections:
        counts = [node.connections() for node in self._nodes()]
        return Connections(in_use=sum(c.in_use for c in counts), idle=sum(c.idle for c in counts))

    def _nodes(self) -> list[BoundedNode]:
        manager = self.client.nodes_manager
        return list(manager.all()) if isinstance(manager, BoundedNodes) else []
