"""Elasticsearch (7.10.2 with what newer clients ask for) and OpenSearch 3.2, one node each, without a password."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from infra.local.ports import LOOPBACK, free_port, retry_on_clash
from infra.local.process import Process
from infra.local.run import Run
from infra.local.servers.probes import answers_http
from infra.supply.java_servers import java_server

# A Java virtual machine on a machine that is busy with other things.
START_SECONDS = 120.0

Kind = Literal["elasticsearch", "opensearch"]


@dataclass(frozen=True)
class Search:
    """A running node; it asks for no password, and so listens on loopback only."""

    process: Process
    port: int

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"


async def start(run: Run, kind: Kind) -> Search:
    return await retry_on_clash(lambda: start_on(run, kind, free_port()))


async def start_on(run: Run, kind: Kind, port: int) -> Search:
    """Start it on a port of yours, with the run's data: a restart, when it ran before."""
    process = run.start(kind, java_server(kind).command(run.directory(kind), port))
    healthy = f"http://{LOOPBACK}:{port}/_cluster/health?wait_for_status=yellow&timeout=900ms"
    await process.ready(lambda: answers_http(healthy), within=START_SECONDS)
    return Search(process, port)
