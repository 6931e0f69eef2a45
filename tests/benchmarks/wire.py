"""A TCP proxy that adds round-trip time and counts round trips, for clients and servers on loopback."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Self

from infra.local.ports import LOOPBACK
from tests.pumps import CHUNK, until_one_ends


class Wire:
    """Between clients and `target`, from `async with` on.

    A round trip is a connection's opening, or what a client sends after it was answered (several commands in one go are
    one). Each takes `rtt` seconds more than without the proxy: what is on its way is delayed, not queued up, as on a
    network.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.rtt = 0.0
        self.round_trips = 0
        self.accepted = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def open(self) -> int:
        """Connections now."""
        return len(self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.accepted += 1
        self.round_trips += 1
        try:
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await self._forward(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        above, upstream = await asyncio.open_connection(LOOPBACK, self.target)
        answered = True
        loop = asyncio.get_running_loop()
        # The SYN went through undelayed: what the client sends first pays for it.
        opens = loop.time() + self.rtt

        async def requests() -> None:
            nonlocal answered
            # A chunk is sent on `rtt` after it came, whatever is still on its way before it.
            on_its_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

            async def deliver() -> None:
                while True:
                    due, data = await on_its_way.get()
                    if (wait := due - loop.time()) > 0:
                        await asyncio.sleep(wait)
                    upstream.write(data)
                    await upstream.drain()

            delivering = asyncio.create_task(deliver())
            try:
                while data := await reader.read(CHUNK):
                    if answered:
                        self.round_trips += 1
                        answered = False
                    on_its_way.put_nowait((max(loop.time(), opens) + self.rtt, data))
            finally:
                delivering.cancel()

        async def replies() -> None:
            nonlocal answered
            while data := await above.read(CHUNK):
                answered = True
                writer.write(data)
                await writer.drain()

        try:
            await until_one_ends(requests(), replies())
        finally:
            upstream.close()
