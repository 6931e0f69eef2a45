"""The servers' connections, counted where they cannot lie: in the network namespaces of their pods."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from infra.kind.cluster import Cluster
from tests.cluster.inside import processes_of

# Of /proc/<pid>/net/tcp: established, and closed by the client but not yet by the server.
HELD = ("01", "08")
PORTS = {"mongodb": 27017, "redis": 6379}
PROGRAMS = {"mongodb": ("ferretdb", "mongod"), "redis": ("valkey-server",)}


class Counting:
    """Counts a server's connections in the network namespace of its pod, seen from this machine's /proc."""

    def __init__(self, cluster: Cluster) -> None:
        ids = [
            cluster.engine.docker("inspect", "--format", "{{.Id}}", node).strip()
            for node in (cluster.control_plane, *cluster.workers)
        ]
        self._ids = ids
        self._pids = {name: self._find(PROGRAMS[name]) for name in PORTS}

    def connections(self, client: str = "") -> dict[str, int]:
        """By server; of one client's address only, where it is given."""
        return {name: self._of(name, client) for name in PORTS}

    def _of(self, name: str, client: str) -> int:
        wanted = _address(client) if client else ""
        count = 0
        try:
            for family in ("tcp", "tcp6"):
                for line in Path(f"/proc/{self._pids[name]}/net/{family}").read_text().splitlines()[1:]:
                    local, remote, state = line.split()[1:4]
                    ours = int(local.rsplit(":", 1)[1], 16) == PORTS[name] and state in HELD
                    count += ours and remote.split(":")[0].endswith(wanted)
        except OSError:  # the pod was replaced
            self._pids[name] = self._find(PROGRAMS[name])
        return count

    def _find(self, programs: tuple[str, ...]) -> int:
        return next((process.pid for process in processes_of(self._ids, named=programs)), 0)


def _address(text: str) -> str:
    """An IPv4 address as /proc/<pid>/net/tcp writes it, which is how tcp6 ends too: a word in the machine's order."""
    return socket.inet_aton(text)[:: -1 if sys.byteorder == "little" else 1].hex().upper()
