"""Serves on a port of loopback that the system chose, and prints it: how the engine finds a plugin."""

from __future__ import annotations

import asyncio
import contextlib
import sys

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from tests.infra.provider.chart import Charts
from tests.infra.provider.servicer import Servicer

LARGEST_MESSAGE = 400 * 1024 * 1024  # as the engine's own limit


async def serve(engine: str) -> None:
    """Runs until the engine ends it."""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", LARGEST_MESSAGE)])
    servicer = Servicer(Charts("4.34.2"), [], engine_address=engine)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(sys.argv[1]))
