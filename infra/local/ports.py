"""Free ports from the system. Nothing here has a fixed port, so that a second stack can run beside the first."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from typing import TypeVar

from infra.local.errors import StartFailed

LOOPBACK = "127.0.0.1"
ATTEMPTS = 3
_handed_out: set[int] = set()

T = TypeVar("T")


def free_port() -> int:
    """A loopback port that was free for TCP and UDP a moment ago, and is handed out once."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            tcp.bind((LOOPBACK, 0))
            port = int(tcp.getsockname()[1])
            try:
                udp.bind((LOOPBACK, port))
            except OSError:
                continue
        if port not in _handed_out:
            _handed_out.add(port)
            return port


async def retry_on_clash(start: Callable[[], Awaitable[T]]) -> T:
    """Run `start`, which takes its ports from `free_port`, again when another process was faster to bind one.

    Between noting a port and binding it lies the start of a process; any outgoing connection may get it meanwhile.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return await start()
        except StartFailed as failure:
            if attempt == ATTEMPTS or "address already in use" not in str(failure).lower():
                raise
    raise AssertionError("unreachable")
