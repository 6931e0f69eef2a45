"""A STAND-IN for Elasticsearch 9, of which no registry here holds a server: HTTP alone, nothing is stored.

It answers what the embedded 7.10.2 cannot: TLS of a private authority and API keys, which newer servers insist on from
the start (since 8.0), the media type `compatible-with=9`, and a refusal for load (429). Answers have the shape of
Elastic's reference; sockets, TLS and the client are real.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trustme
from aiohttp import web

VERSION = "9.5.1"
HEADERS = {"X-Elastic-Product": "Elasticsearch"}
MEDIA_TYPE = "application/vnd.elasticsearch+json;compatible-with=9"


@dataclass
class NewerElasticsearch:
    """A listening stand-in: where, whom it lets in, and what it was asked."""

    api_key: str
    ca_file: Path
    url: str = ""
    accepted: list[str] = field(default_factory=list)
    """The `Accept` header of every request that was let in."""
    busy: int = 0
    """So many of the next requests are refused for load."""

    async def answer(self, request: web.BaseRequest) -> web.Response:
        if request.headers.get("Authorization") != f"ApiKey {self.api_key}":
            return _refusal(401, "security_exception", "unable to authenticate with provided credentials")
        if self.busy:
            self.busy -= 1
            return _refusal(429, "es_rejected_execution_exception", "rejected execution")
        self.accepted.append(request.headers["Accept"].replace(" ", ""))
        return _reply(
            200,
            {
                "name": "stand-in",
                "cluster_name": "stand-in",
                "version": {"number": VERSION, "build_flavor": "default"},
                "tagline": "You Know, for Search",
            },
        )


def _reply(status: int, body: dict[str, object]) -> web.Response:
    return web.json_response(body, status=status, headers=HEADERS, content_type=MEDIA_TYPE.partition(";")[0])


def _refusal(status: int, kind: str, reason: str) -> web.Response:
    return _reply(status, {"error": {"type": kind, "reason": reason}, "status": status})


@asynccontextmanager
async def newer_elasticsearch(directory: Path, api_key: str) -> AsyncIterator[NewerElasticsearch]:
    """Listen on loopback under a certificate of an authority made for this run, kept in `directory`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = NewerElasticsearch(api_key, directory / "ca.pem")
    runner = web.ServerRunner(web.Server(server.answer))
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        port = runner.addresses[0][1]
        server.url = f"https://127.0.0.1:{port}"
        yield server
    finally:
        await runner.cleanup()
