"""Serves on a port of loopback that the system chose, and prints it: how the engine finds a plugin."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from tests.infra.provider.chart import Charts
from tests.infra.provider.servicer import Servicer

THREADS = 256
LARGEST_MESSAGE = 400 * 1024 * 1024  # as the engine's own limit


async def serve(engine: str) -> None:
    """Runs until the engine ends it."""
    # A chart's registrations each wait in a thread until the engine, by this very process, has made the object.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
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
