"""Valkey (Redis wire), with `maxclients` from the budget, a generated password, nothing written to disk."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from infra.local.ports import LOOPBACK, free_port, retry_on_clash
from infra.local.process import Process
from infra.local.run import Run
from infra.local.servers.probes import answers_line
from infra.supply.binaries import binary

START_SECONDS = 20.0


@dataclass(frozen=True)
class Redis:
    """A running server; `url` holds the password: never print it."""

    process: Process
    port: int
    password: str

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"


async def start(run: Run, maxclients: int) -> Redis:
    """Start it with `maxclients` connections, operators' reserve included."""
    password = secrets.token_urlsafe(24)
    return await retry_on_clash(lambda: start_on(run, free_port(), password, maxclients))


async def start_on(run: Run, port: int, password: str, maxclients: int) -> Redis:
    """Start it on a port of yours: a restart, when it ran before; it comes back empty."""
    file = run.private_file("valkey.conf", config(port, run.directory("redis"), password, maxclients))
    process = run.start("valkey-server", [binary("valkey-server"), file])
    ping = f"AUTH {password}\r\nPING\r\n".encode()
    await process.ready(lambda: answers_line(port, ping, b"+PONG"), within=START_SECONDS)
    return Redis(process, port, password)


def config(port: int, directory: Path, password: str, maxclients: int) -> str:
    return "\n".join(
        [
            f"bind {LOOPBACK}",
            f"port {port}",
            f"requirepass {password}",
            f"maxclients {maxclients}",
            f'dir "{directory}"',
            'save ""',
            "appendonly no",
            "",
        ]
    )
