"""A MongoDB-wire server for development and tests: SecantusDB, a process of its own, with users and a connection limit.

SecantusDB is beta and GPL-2.0. Nothing here is imported by, linked into or shipped with the product: the program is
started by its own interpreter, and talks MongoDB's wire protocol. Its own command knows neither a limit nor users.

A data directory has two users in the database admin, set at each start: MONGODB_USERNAME may read and write
MONGODB_DATABASES (names with commas between), and no more, as charts/mongodb has it; `root` may do everything.
"""

from __future__ import annotations

import argparse
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

from secantus.auth import SCRAM_SHA_256, derive_credentials
from secantus.server import SecantusDBServer

HOST = "127.0.0.1"
# mongod closes no idle connection; this server would after five minutes.
IDLE_SECONDS = 30 * 86_400.0


def main() -> NoReturn:
    """Serve until SIGTERM or SIGINT."""
    given = _arguments()
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # in every thread that the server starts
    server = SecantusDBServer(
        HOST,
        given.port,
        str(given.data),
        require_auth=True,
        max_connections=given.max_connections,
        client_idle_timeout_s=IDLE_SECONDS,
        cache_size="256M",
        enable_test_commands=True,  # configureFailPoint, for root
    )
    databases = os.environ["MONGODB_DATABASES"].split(",")
    _user(server, "root", os.environ["MONGODB_ROOT_PASSWORD"], [{"role": "root", "db": "admin"}])
    _user(
        server,
        os.environ["MONGODB_USERNAME"],
        os.environ["MONGODB_PASSWORD"],
        [{"role": "readWrite", "db": database} for database in databases],
    )
    server.start()
    signal.sigwait(ends)
    # Not its stop(): that waits two seconds for a thread that sits in accept().
    server.connections.close_all()
    server.storage.close()
    os._exit(0)


def _arguments() -> SimpleNamespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True, help="its directory")
    parser.add_argument("--max-connections", type=int, required=True, help="further ones are closed at once")
    given = parser.parse_args(namespace=SimpleNamespace())
    missing = [
        name
        for name in ("MONGODB_ROOT_PASSWORD", "MONGODB_USERNAME", "MONGODB_PASSWORD", "MONGODB_DATABASES")
        if not os.environ.get(name)
    ]
    if missing:
        parser.error(f"not set: {', '.join(missing)}")
    if any(given.data.glob("*.sqlite")):
        parser.error(
            f"{given.data} holds files of FerretDB, which this server cannot read: name another directory"
        )
    return given


def _user(server: SecantusDBServer, name: str, password: str, roles: list[dict[str, str]]) -> None:
    """As createUser would store it; with no user there is nobody yet who could send that command."""
    server.storage.add_user(
        "admin",
        name,
        {
            "_id": f"admin.{name}",
            "user": name,
            "db": "admin",
            "credentials": dict(
                derive_credentials(password, mechanism=SCRAM_SHA_256, username=name).to_doc()
            ),
            "roles": roles,
            "mechanisms": [SCRAM_SHA_256],
        },
        replace=True,
    )


if __name__ == "__main__":
    main()
