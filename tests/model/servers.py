"""Datastores as the model sees them: nodes that count their open connections one by one, and clients that open them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


class Connection:
    """One socket, as a node's server counts it."""

    __slots__ = ("_node",)

    def __init__(self, node: Node) -> None:
        self._node: Node | None = node

    @property
    def open(self) -> bool:
        return self._node is not None

    def close(self) -> None:
        if self._node is not None:
            self._node.connections.discard(self)
            self._node = None


class Node:
    """One node of a datastore. It refuses nobody: what a limit would have refused is to be seen."""

    def __init__(self) -> None:
        self.connections: set[Connection] = set()
        self.peak = 0
        self.accepted = 0

    def accept(self) -> Connection:
        connection = Connection(self)
        self.accepted += 1
        self.connections.add(connection)
        self.peak = max(self.peak, len(self.connections))
        return connection

    def restart(self) -> None:
        """Every client's connection is cut."""
        for connection in list(self.connections):
            connection.close()


class Store:
    """One datastore: its nodes, of which one takes the operations, or each (`every`) its part of them.

    A `local` one has a node on each machine, for the clients that run there.
    """

    def __init__(self, name: str, nodes: int, *, every: bool = False, local: bool = False) -> None:
        self.name = name
        self.nodes = [Node() for _ in range(nodes)]
        self.primary = 0
        self.local = local
        self._every = every or local

    def reached_from(self, machine: int | None) -> list[Node]:
        """What a client there connects to; None is outside the fleet."""
        return [self.nodes[machine]] if self.local and machine is not None else self.nodes

    @property
    def asked(self) -> list[Node]:
        """Those to which a client's operations go now."""
        return self.nodes if self._every else [self.nodes[self.primary]]

    def fail_over(self, *, restart: bool) -> None:
        """The next node becomes primary; the old one stays up with its clients' idle connections, or restarts."""
        old = self.nodes[self.primary]
        self.primary = (self.primary + 1) % len(self.nodes)
        if restart:
            old.restart()


@dataclass(frozen=True)
class Share:
    """What one client may hold on one node."""

    pool: int
    """The bound of its pool, of each node."""
    beside: int = 0
    """Sockets that the driver keeps to every node beside the pool, from its first operation on."""
    pinned: int = 0
    """Connections of the pool that are taken for good: subscriptions, blocking commands."""


class Client:
    """A driver's client in one process."""

    def __init__(self, store: Store, share: Share, machine: int | None = None) -> None:
        self._store, self._share = store, share
        nodes = store.reached_from(machine)
        self._beside: dict[Node, list[Connection]] = {node: [] for node in nodes}
        self._pools: dict[Node, list[Connection]] = {node: [] for node in nodes}

    def use(self, width: int) -> None:
        """Run `width` operations at once, above what is pinned; a bounded pool makes the rest wait."""
        share = self._share
        for node, connections in self._beside.items():
            _fill(connections, node, share.beside)
        for node in self._store.asked:
            if node in self._pools:
                _fill(self._pools[node], node, min(share.pinned + width, share.pool))

    def close(self) -> None:
        for connection in self._held():
            connection.close()

    def _held(self) -> Iterator[Connection]:
        for connections in (*self._beside.values(), *self._pools.values()):
            yield from connections


def _fill(connections: list[Connection], node: Node, wanted: int) -> None:
    """Replace what was cut, and open one after the other up to `wanted`; what is open stays open, idle."""
    connections[:] = [connection for connection in connections if connection.open]
    while len(connections) < wanted:
        connections.append(node.accept())
