"""`python -m infra.local call`, `python -m infra.kind call`: a conversation with the agent, typed at the terminal."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import threading

from livekit import api, rtc
from rich.console import Console

from agent.runtime.dispatch import Busy, LiveKitUnreachable, place_call
from infra.local.conversation import AgentGone, Conversation, Line
from infra.local.errors import LocalError


async def chat(console: Console, line: Line, stack: str) -> int:
    """Place a call, then line by line: what you type, what the agent answers. The end of the input hangs up.

    Raises:
        LocalError: no free slot, or the call broke off.
    """
    room = f"terminal-{secrets.token_hex(3)}"
    console.print(f"calling {line.agent_name} of {stack} …", highlight=False)
    try:
        async with line.api() as livekit:
            placed = await place_call(livekit, agent_name=line.agent_name, room=room)
        async with Conversation(line, room, f"caller-{room}") as conversation:
            console.print(f"answered after {placed.waited_seconds:.1f} s; Ctrl-D hangs up", highlight=False)
            console.print(f"agent> {await conversation.hear()}", style="cyan", highlight=False, markup=False)
            await _talk(console, conversation)
    except Busy as busy:
        raise LocalError(f"busy: {busy}") from None
    except AgentGone:
        console.print("the agent hung up")
        return 0
    except (LiveKitUnreachable, TimeoutError, OSError, rtc.ConnectError, api.ServerError) as error:
        raise LocalError(f"the call broke off: {error}") from None
    console.print("hung up")
    return 0


async def _talk(console: Console, conversation: Conversation) -> None:
    lines = _typed()
    gone = asyncio.create_task(conversation.until_gone())
    try:
        while True:
            if sys.stdin.isatty():
                console.print("you>   ", end="", highlight=False)
            line = asyncio.create_task(lines.get())
            await asyncio.wait({line, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not line.done():
                line.cancel()
                raise AgentGone
            if (text := line.result()) is None:
                return
            if text.strip():
                await conversation.say(text.strip())
                console.print(
                    f"agent> {await conversation.hear()}", style="cyan", highlight=False, markup=False
                )
    finally:
        gone.cancel()


def _typed() -> asyncio.Queue[str | None]:
    """Lines of the standard input, then None.

    Read on a daemon thread, without Python's own buffer: a thread that waits in `sys.stdin.readline` would hold its
    lock when the program ends.
    """
    queue: asyncio.Queue[str | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        rest = b""
        while chunk := os.read(0, 4096):
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                loop.call_soon_threadsafe(queue.put_nowait, line.decode(errors="replace"))
        if rest:
            loop.call_soon_threadsafe(queue.put_nowait, rest.decode(errors="replace"))
        loop.call_soon_threadsafe(queue.put_nowait, None)

    threading.Thread(target=read, name="stdin", daemon=True).start()
    return queue
