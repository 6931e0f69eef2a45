"""A MongoDB-wire server: FerretDB with SQLite files (docker/offline/embedded/ferretdb says what it lacks)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from infra.local.ports import LOOPBACK, free_port, retry_on_clash
from infra.local.process import Process
from infra.local.run import Run
from infra.local.servers.probes import accepts_tcp
from infra.supply.binaries import binary

DATABASE = "agent"
USER = "agent"
START_SECONDS = 20.0
NO_LIMIT = (
    "The embedded MongoDB-wire server (FerretDB) has no connection limit of its own: here the budget is held by the "
    "workers alone, and checked in the kernel. A real mongod gets net.maxIncomingConnections from the same budget."
)


@dataclass(frozen=True)
class MongoDB:
    """A running server; `url` holds the password: never print it."""

    process: Process
    port: int
    password: str
    user: str = USER

    @property
    def url(self) -> str:
        return self.url_at(self.port)

    def url_at(self, port: int) -> str:
        """The same through a proxy on another port of loopback."""
        return f"mongodb://{self.user}:{self.password}@{LOOPBACK}:{port}/?authSource=admin"


async def start(run: Run) -> MongoDB:
    password = secrets.token_hex(16)
    return await retry_on_clash(lambda: start_on(run, free_port(), password))


async def start_on(run: Run, port: int, password: str) -> MongoDB:
    """Start it on a port of yours, with the run's data: a restart, when it ran before; its users are in the data."""
    process = run.start(
        "ferretdb",
        [binary("ferretdb"), "-listen", f"{LOOPBACK}:{port}", "-data", run.directory("mongodb")],
        environment={"MONGODB_USERNAME": USER, "MONGODB_PASSWORD": password},
    )
    await process.ready(lambda: accepts_tcp(port), within=START_SECONDS)
    return MongoDB(process, port, password)
