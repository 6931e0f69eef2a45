"""Headless Chromium, driven by the DevTools protocol over its WebSocket: open a page, wait for it, look at it."""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from infra.local.eventually import eventually
from infra.local.process import Process
from infra.local.run import ROOT, bare_environment

NAMES = ("chromium", "chromium-browser", "google-chrome")
START_SECONDS = 30.0
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)


def chromium() -> str:
    """Its path. Skips the test where there is none: this project neither fetches nor builds it."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"none of {', '.join(NAMES)} is on PATH: install it (Debian: sudo apt install chromium)")
    return found


@dataclass
class Page:
    """One page of the browser."""

    socket: aiohttp.ClientWebSocketResponse
    _sent: int = 0

    async def open(self, url: str) -> None:
        await self._ask("Page.navigate", url=url)

    async def value(self, script: str) -> Any:
        """What a JavaScript expression comes to; None while the page is being replaced by another."""
        answer = await self._ask("Runtime.evaluate", expression=script, returnByValue=True)
        return answer.get("result", {}).get("value")

    async def click(self, style: str, text: str) -> None:
        """Click the element of this class and text as soon as it is there."""
        element = f"[...document.getElementsByClassName({style!r})].find(e => e.textContent == {text!r})"

        async def clicked() -> bool:
            return bool(await self.value(f"(e => e && (e.click(), true))({element})"))

        await eventually(clicked, within=60, every=0.2, what=f"{text} on the page")

    async def screenshot(self, *, width: int, height: int, scale: float) -> bytes:
        """A PNG of the page's upper left part of this size in pixels, scaled."""
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": scale}
        return base64.b64decode((await self._ask("Page.captureScreenshot", format="png", clip=clip))["data"])

    async def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._sent += 1
        await self.socket.send_str(json.dumps({"id": self._sent, "method": method, "params": parameters}))
        while True:
            message = json.loads(await self.socket.receive_str(timeout=30))
            if message.get("id") == self._sent:
                answer: dict[str, Any] = message.get("result", {})
                return answer


@asynccontextmanager
async def browser(log: Path, *, width: int, height: int) -> AsyncIterator[Page]:
    """A browser with one empty page of this size in pixels; it and its new, empty profile are gone afterwards."""
    program, profile = chromium(), Path(tempfile.mkdtemp(prefix="browser-"))
    size = f"--window-size={width},{height}"
    command = [program, *FLAGS, size, f"--user-data-dir={profile}", "about:blank"]
    process = Process(
        "chromium", command, log=log, environment=bare_environment() | {"HOME": str(profile)}, directory=ROOT
    )
    try:
        port_file = profile / "DevToolsActivePort"

        def said() -> bool:  # two lines, of which the first is the port
            return port_file.exists() and "\n" in port_file.read_text()

        await eventually(said, within=START_SECONDS, what="chromium's debugging port")
        port = port_file.read_text().split("\n")[0]
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as response:
                (page,) = [each for each in await response.json() if each["type"] == "page"]
            async with session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                yield Page(socket)
    finally:
        process.kill()
        shutil.rmtree(profile, ignore_errors=True)
