"""A TCP proxy in front of a datastore, which can be made to misbehave while connections are open."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from enum import StrEnum
from types import TracebackType
from typing import Self

from infra.local.ports import LOOPBACK
from tests.pumps import CHUNK, until_one_ends

# SO_LINGER with 0 s: closing sends a reset instead of what was still to be sent.
RESET_AT_CLOSE = struct.pack("ii", 1, 0)


class Mode(StrEnum):
    """What the proxy does. New modes hold for connections that are open already, where nothing else is said."""

    PASS = "pass"
    SLOW = "slow"
    """Every chunk of bytes waits `delay` seconds, in each direction."""
    REFUSE = "refuse"
    """The port is closed, as when nothing listens; open connections are closed."""
    CLOSE = "close"
    """New connections are accepted and closed at once, which is what mongod does above its limit; open ones live."""
    BLACKHOLE = "blackhole"
    """Connections are accepted and stay open, but no byte arrives anywhere: packets vanish without a reset."""
    CUT = "cut"
    """The next replies end after `after` bytes, and their connections are closed."""
    RESET = "reset"
    """Open connections are reset, new ones as soon as they are accepted."""


class Proxy:
    """Listens on a loopback port of its own, from `async with` on, and forwards to `target` on loopback."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.mode = Mode.PASS
        self.accepted: list[float] = []
        """When each connection was accepted, time.monotonic(): failed attempts of a client are in here."""
        self._delay = 0.0
        self._after = 0
        self._server: asyncio.Server | None = None
        self._clients: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._hang_up()

    @property
    def open(self) -> int:
        """Client connections now."""
        return len(self._clients)

    async def set(self, mode: Mode, *, delay: float = 0.0, after: int = 0) -> None:
        """Misbehave like this from now on.

        Args:
            delay: seconds, for `Mode.SLOW`.
            after: bytes of a reply that still arrive, for `Mode.CUT`.
        """
        self.mode, self._delay, self._after = mode, delay, after
        if mode is Mode.REFUSE:
            await self._hang_up()
        elif self._server is None:
            await self._listen()
        if mode is Mode.RESET:
            for writer in self._clients.values():
                _reset(writer)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def _hang_up(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        tasks = list(self._clients)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted.append(time.monotonic())
        task = asyncio.current_task()
        assert task is not None
        self._clients[task] = writer
        try:
            # Cancelled by _hang_up; OSError: either side went, or the target does not listen.
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await self._forward(reader, writer)
        finally:
            del self._clients[task]
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mode is Mode.RESET:
            return _reset(writer)
        if self.mode is Mode.CLOSE:
            return None
        if self.mode is Mode.BLACKHOLE:
            while await reader.read(CHUNK):
                pass
            return None
        above, upstream = await asyncio.open_connection(LOOPBACK, self.target)
        try:
            await until_one_ends(self._pump(reader, upstream), self._pump(above, writer, replies=True))
        finally:
            upstream.close()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, replies: bool = False
    ) -> None:
        """Carry bytes in one direction until the source ends or a reply is cut."""
        while data := await source.read(CHUNK):
            if self.mode is Mode.BLACKHOLE:
                continue
            if self.mode is Mode.SLOW:
                await asyncio.sleep(self._delay)
            cut = replies and self.mode is Mode.CUT
            sink.write(data[: self._after] if cut else data)
            await sink.drain()
            if cut:
                return


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
    writer.transport.abort()
