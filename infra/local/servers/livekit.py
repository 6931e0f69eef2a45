"""livekit-server on loopback: signalling, media over one UDP port (and one TCP port), a key of its own."""

from __future__ import annotations

import asyncio
import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local.ports import LOOPBACK, free_port, retry_on_clash
from infra.local.process import Process
from infra.local.run import Run
from infra.local.servers.probes import answers_http
from infra.supply.binaries import binary

START_SECONDS = 30.0
# livekit-server 1.13.5 drops a SIGTERM that comes within 0.1 s of its first answer, and would have to be killed
# (pkg/service/server.go: `Stop` looks at `running`, which is set after that pause). Nothing tells when it is over.
HEARS_SIGNALS_SECONDS = 0.3
FILE = "livekit.yaml"


@dataclass(frozen=True)
class LiveKit:
    """A running livekit-server; `url` is what workers and callers connect to."""

    process: Process
    port: int
    key: str
    secret: str

    @property
    def url(self) -> str:
        return f"ws://{LOOPBACK}:{self.port}"


async def start(run: Run) -> LiveKit:
    return await retry_on_clash(lambda: _start(run))


async def _start(run: Run) -> LiveKit:
    key, secret = f"API{secrets.token_hex(6)}", secrets.token_urlsafe(36)
    port = free_port()
    # A file, not --keys or an environment variable: both can be read by others on this machine (`ps`, /proc).
    file = run.private_file(FILE, json.dumps(config(port, free_port(), free_port(), key, secret)))
    return await _serve(run, file, port, key, secret)


async def start_again(run: Run, ended: LiveKit) -> LiveKit:
    """Where it was, with the same key: a restart."""
    return await _serve(run, run.state / FILE, ended.port, ended.key, ended.secret)


async def _serve(run: Run, file: Path, port: int, key: str, secret: str) -> LiveKit:
    process = run.start("livekit-server", [binary("livekit-server"), "--config", file])
    await ready(process, port)
    return LiveKit(process, port, key, secret)


async def ready(process: Process, port: int) -> None:
    """Wait until it serves, and can be stopped again. Raises StartFailed."""
    await process.ready(lambda: answers_http(f"http://{LOOPBACK}:{port}"), within=START_SECONDS)
    await asyncio.sleep(HEARS_SIGNALS_SECONDS)


def config(port: int, tcp: int, udp: int, key: str, secret: str) -> dict[str, Any]:
    """The server's configuration (JSON is YAML). Limits on agents are left as they are in production."""
    return {
        "port": port,
        "bind_addresses": [LOOPBACK],
        "rtc": {
            "tcp_port": tcp,
            "udp_port": udp,
            "node_ip": LOOPBACK,
            "use_external_ip": False,
            # Loopback candidates only: calls work without any network, and none leaves this machine.
            "enable_loopback_candidate": True,
            "ips": {"includes": [f"{LOOPBACK}/32"]},
        },
        "keys": {key: secret},
        "logging": {"level": "info", "json": False},
    }
