"""A MongoDB-wire server: SecantusDB, with the budget's limit (docker/offline/embedded/secantusdb says what it is)."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.local.ports import LOOPBACK, free_port, retry_on_clash
from infra.local.process import Process
from infra.local.run import ROOT, Run
from infra.local.servers.probes import accepts_tcp
from infra.supply.lock_groups import interpreter
from infra.supply.places import cache_directory

DATABASE = "agent"
USER = "agent"
START_SECONDS = 30.0
LAUNCHER = ROOT / "docker" / "offline" / "embedded" / "secantusdb" / "serve.py"


@dataclass(frozen=True)
class MongoDB:
    """A running server; its URLs hold passwords: never print them."""

    process: Process
    port: int
    password: str
    root_password: str
    max_connections: int
    databases: tuple[str, ...]
    """What the workers' user may read and write."""
    user: str = USER

    @property
    def url(self) -> str:
        """For workers."""
        return self.url_at(self.port)

    @property
    def root_url(self) -> str:
        return f"mongodb://root:{self.root_password}@{LOOPBACK}:{self.port}/?authSource=admin"

    def url_at(self, port: int) -> str:
        """The same through a proxy on another port of loopback; found by itself, the server names its own port."""
        direct = "" if port == self.port else "&directConnection=true"
        return f"mongodb://{self.user}:{self.password}@{LOOPBACK}:{port}/?authSource=admin{direct}"


def program() -> Path:
    """The Python that runs it, installed when it is not there. Raises BuildError."""
    return interpreter("secantusdb", cache_directory())


async def start(run: Run, max_connections: int, databases: Sequence[str] = (DATABASE,)) -> MongoDB:
    """Start it with at most `max_connections`, operators' reserve included; it closes further ones at once."""
    passwords = secrets.token_hex(16), secrets.token_hex(16)
    return await retry_on_clash(
        lambda: _start_on(run, free_port(), passwords, max_connections, tuple(databases))
    )


async def start_again(run: Run, before: MongoDB) -> MongoDB:
    """A restart, with its data, port and passwords."""
    passwords = before.password, before.root_password
    return await _start_on(run, before.port, passwords, before.max_connections, before.databases)


async def _start_on(
    run: Run, port: int, passwords: tuple[str, str], max_connections: int, databases: tuple[str, ...]
) -> MongoDB:
    password, root_password = passwords
    command: list[str | Path] = [program(), LAUNCHER, "--port", str(port), "--data", run.directory("mongodb")]
    command += ["--max-connections", str(max_connections)]
    environment = {
        "MONGODB_ROOT_PASSWORD": root_password,
        "MONGODB_USERNAME": USER,
        "MONGODB_PASSWORD": password,
        "MONGODB_DATABASES": ",".join(databases),
    }
    process = run.start("mongodb", command, environment=environment)
    await process.ready(lambda: accepts_tcp(port), within=START_SECONDS)
    return MongoDB(process, port, password, root_password, max_connections, databases)
