"""Weaviate, built from its Go module: HTTP and gRPC, a generated API key, vectors from the caller alone."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.local.kernel import Endpoint
from infra.local.ports import LOOPBACK, free_port, retry_on_clash
from infra.local.run import Run
from infra.local.servers.probes import answers_http
from infra.local.servers.server import Running, Server
from infra.supply.binaries import binary, build_missing

# A node that is alone waits up to 10 s for others before it elects itself.
START_SECONDS = 60.0


@dataclass(frozen=True)
class Settings:
    """What a restart must find again."""

    port: int = field(default_factory=free_port)
    grpc_port: int = field(default_factory=free_port)
    key: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    cluster_ports: tuple[int, ...] = field(default_factory=lambda: tuple(free_port() for _ in range(4)))


async def start(run: Run, connections: int) -> Running:  # noqa: ARG001  # it knows no limit
    return await retry_on_clash(lambda: _start_with(run, Settings()))


async def _start_with(run: Run, settings: Settings) -> Running:
    command: list[str | Path] = [
        binary("weaviate"),
        "--scheme",
        "http",
        "--host",
        LOOPBACK,
        "--port",
        str(settings.port),
    ]
    process = run.start("weaviate", command, environment=_environment(run, settings))
    ready = f"http://{LOOPBACK}:{settings.port}/v1/.well-known/ready"
    await process.ready(lambda: answers_http(ready), within=START_SECONDS)
    return Running(
        # gRPC is bound to every address, whatever Weaviate is told: there the key keeps others out.
        Endpoint(process.pid, settings.port, also=(settings.grpc_port,)),
        process,
        {
            "WEAVIATE_URL": f"http://{LOOPBACK}:{settings.port}",
            "WEAVIATE_GRPC_URL": f"http://{LOOPBACK}:{settings.grpc_port}",
            "WEAVIATE_API_KEY": settings.key,
        },
        again=lambda: _start_with(run, settings),
    )


async def _ask(client: Any) -> None:
    await client.get_meta()  # HTTP
    await client.collections.use("Nothing").exists()  # HTTP
    await client._connection._ping_grpc("async")  # noqa: SLF001  # gRPC


async def _keep(client: Any, call: dict[str, str]) -> None:
    await client.collections.use("Call").data.insert(call, vector=[0.1, 0.2, 0.3])


def _environment(run: Run, settings: Settings) -> dict[str, str]:
    gossip, data, raft, raft_rpc = map(str, settings.cluster_ports)
    return {
        "PERSISTENCE_DATA_PATH": str(run.directory("weaviate")),
        "GRPC_PORT": str(settings.grpc_port),
        "AUTHENTICATION_APIKEY_ENABLED": "true",
        "AUTHENTICATION_APIKEY_ALLOWED_KEYS": settings.key,
        "AUTHENTICATION_APIKEY_USERS": "agent",
        "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "false",
        # The port between nodes is bound to every address as well.
        "CLUSTER_BASIC_AUTH_USERNAME": "node",
        "CLUSTER_BASIC_AUTH_PASSWORD": settings.key,
        "CLUSTER_HOSTNAME": "node1",
        "CLUSTER_BIND_ADDR": LOOPBACK,
        "CLUSTER_ADVERTISE_ADDR": LOOPBACK,
        "CLUSTER_GOSSIP_BIND_PORT": gossip,
        "CLUSTER_DATA_BIND_PORT": data,
        "RAFT_PORT": raft,
        "RAFT_INTERNAL_RPC_PORT": raft_rpc,
        "RAFT_BOOTSTRAP_EXPECT": "1",
        "DEFAULT_VECTORIZER_MODULE": "none",
        "DISABLE_TELEMETRY": "true",
        "GO_PROFILING_DISABLE": "true",
        "LOG_LEVEL": "warning",
    }


SERVER = Server(build=lambda: build_missing(["weaviate"]), start=start, ask=_ask, keep=_keep)
