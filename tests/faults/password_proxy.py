"""A stand-in: a MongoDB that asks for a password, in front of FerretDB, which has no authentication.

The proxy reads MongoDB's wire protocol and answers `saslStart` with SASL PLAIN by itself: a wrong password gets what
mongod answers, error 18 (AuthenticationFailed). Everything else is FerretDB's to answer; replies are not looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from typing import Any

import bson

from tests.faults.proxy import Mode, Proxy

USER = "agent"
# Length, request number, number of the request that is answered, operation.
HEADER = struct.Struct("<iiii")
OP_MSG = 2013
# In an OP_MSG: flags and the kind of its one section, then the document.
DOCUMENT = HEADER.size + 5
# The name of its first element, which is the command's: after the document's length and the element's type.
COMMAND = slice(DOCUMENT + 5, DOCUMENT + 15)


class PasswordProxy(Proxy):
    """As `Proxy`; new connections authenticate with what `accepts` holds by then, at first `password`."""

    def __init__(self, target: int, password: str) -> None:
        super().__init__(target)
        self.password = self.accepts = password

    def url(self, host: str) -> str:
        """What clients are given."""
        return f"mongodb://{USER}:{self.password}@{host}:{self.port}/?authMechanism=PLAIN"

    async def _requests(
        self, client: asyncio.StreamReader, upstream: asyncio.StreamWriter, answers: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                header = await client.readexactly(HEADER.size)
                length, number, _, operation = HEADER.unpack(header)
                message = header + await client.readexactly(length - HEADER.size)
                if self.mode is Mode.BLACKHOLE:
                    continue
                if self.mode is Mode.SLOW:
                    await asyncio.sleep(self._delay)
                if operation == OP_MSG and message[COMMAND] == b"saslStart\0":
                    sink, message = (
                        answers,
                        _reply(number, self._authenticate(bson.decode(message[DOCUMENT:]))),
                    )
                else:
                    sink = upstream
                sink.write(message)
                await sink.drain()

    def _authenticate(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["payload"] == f"\0{USER}\0{self.accepts}".encode():
            return {"conversationId": 1, "done": True, "payload": b"", "ok": 1.0}
        return {"ok": 0.0, "errmsg": "Authentication failed.", "code": 18, "codeName": "AuthenticationFailed"}


def _reply(number: int, document: dict[str, Any]) -> bytes:
    body = struct.pack("<iB", 0, 0) + bson.encode(document)
    return HEADER.pack(HEADER.size + len(body), 0, number, OP_MSG) + body
