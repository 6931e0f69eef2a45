"""A MongoDB-wire server: FerretDB with SQLite files (docker/embedded/ferretdb says what it lacks)."""

from __future__ import annotations

from dataclasses import dataclass

from infra.local.binaries import binary
from infra.local.ports import LOOPBACK, free_port, retry_on_clash
from infra.local.process import Process
from infra.local.run import Run
from infra.local.servers.probes import accepts_tcp

DATABASE = "agent"
START_SECONDS = 20.0
NO_LIMIT = (
    "The embedded MongoDB-wire server (FerretDB) has no connection limit of its own: here the budget is held by the "
    "workers alone, and checked in the kernel. A real mongod gets net.maxIncomingConnections from the same budget."
)


@dataclass(frozen=True)
class MongoDB:
    """A running server; it asks for no password, and so listens on loopback only."""

    process: Process
    port: int

    @property
    def url(self) -> str:
        return f"mongodb://{LOOPBACK}:{self.port}"


async def start(run: Run) -> MongoDB:
    return await retry_on_clash(lambda: start_on(run, free_port()))


async def start_on(run: Run, port: int) -> MongoDB:
    """Start it on a port of yours, with the run's data: a restart, when it ran before."""
    data = run.directory("mongodb")
    process = run.start("ferretdb", [binary("ferretdb"), "-listen", f"{LOOPBACK}:{port}", "-data", data])
    await process.ready(lambda: accepts_tcp(port), within=START_SECONDS)
    return MongoDB(process, port)
