"""A search engine of Java, one node. It asks for no password, and so listens on loopback only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal

from infra.local.kernel import Endpoint
from infra.local.ports import LOOPBACK, free_port, retry_on_clash
from infra.local.run import Run
from infra.local.servers.probes import answers_http
from infra.local.servers.server import Running, Server
from infra.supply.java_servers import java_server

# A Java virtual machine on a machine that is busy with other things.
START_SECONDS = 120.0

Kind = Literal["elasticsearch", "opensearch"]


def search_server(kind: Kind, keep: Callable[[Any, dict[str, str]], Awaitable[object]]) -> Server:
    async def start(run: Run, connections: int) -> Running:  # noqa: ARG001  # it knows no limit
        return await retry_on_clash(lambda: start_on(run, free_port()))

    async def start_on(run: Run, port: int) -> Running:
        process = run.start(kind, java_server(kind).command(run.directory(kind), port))
        healthy = f"http://{LOOPBACK}:{port}/_cluster/health?wait_for_status=yellow&timeout=900ms"
        await process.ready(lambda: answers_http(healthy), within=START_SECONDS)
        return Running(
            Endpoint(process.pid, port),
            process,
            {f"{kind.upper()}_URL": f"http://{LOOPBACK}:{port}"},
            again=lambda: start_on(run, port),
        )

    return Server(build=lambda: java_server(kind), start=start, ask=lambda client: client.info(), keep=keep)
