"""The user's own `ctx.add_shutdown_callback`: each is awaited while the datastores are open, and none skips the close.

LiveKit starts all callbacks at once, the runtime's close among them, and the first that raises ends the process under
the others (ipc/job_proc_lazy_main.py). So the close is the one that LiveKit knows, and it runs the others first.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from typing import Any

from livekit.agents import JobContext
from livekit.agents.telemetry import trace_types, tracer

from agent.runtime.errors import LifespanError

logger = logging.getLogger("agent.runtime")

Callback = Callable[..., Any]
POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class ShutdownCallbacks:
    """Collects what is registered on `ctx` from here on, LiveKit's own (a session's) included.

    Args:
        seconds: all of them together may take so long; what is left then is cancelled and left behind.
    """

    def __init__(self, ctx: JobContext, seconds: float) -> None:
        self.failed = False
        """True once one raised or was cut off."""
        self._seconds = seconds
        self._registered: list[Callback] = []
        self._running: dict[asyncio.Task[None], str] = {}
        self._reason: str | None = None
        self._over = False
        ctx.add_shutdown_callback = self.add  # type: ignore[method-assign]

    def add(self, callback: Callback) -> None:
        """As LiveKit's: with no argument, or with the reason. One that is no coroutine function, or a partial, may be
        given as well.

        Raises:
            LifespanError: the job is closing already: it would never run.
        """
        if self._over:
            raise LifespanError(
                f"the shutdown callback {_name(callback)} was added when the others had run and the datastores closed; "
                "add it before the job's end"
            )
        if self._reason is None:
            self._registered.append(callback)
        else:
            self._start(callback, self._reason)

    async def run(self, reason: str) -> None:
        """Run all at once and await them. Never raises what they raise; that is logged."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._seconds
        self._reason = reason
        for callback in self._registered:
            self._start(callback, reason)
        # In rounds, as one may add another.
        while self._running and (left := deadline - loop.time()) > 0:
            await asyncio.wait(list(self._running), timeout=left, return_when=asyncio.FIRST_COMPLETED)
        self._over = True
        for task, name in self._running.items():
            self.failed = True
            logger.error("the shutdown callback %s took more than %g s: left behind", name, self._seconds)
            task.cancel()

    def _start(self, callback: Callback, reason: str) -> None:
        name = _name(callback)
        task = asyncio.create_task(_call(callback, reason, name), name=f"shutdown callback {name}")
        self._running[task] = name
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        name = self._running.pop(task, None)
        if name is None or self._over:
            return
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None:
            self.failed = True
            logger.error(
                "the shutdown callback %s failed; the datastores close after it", name, exc_info=error
            )


async def _call(callback: Callback, reason: str, name: str) -> None:
    with tracer.start_as_current_span("shutdown_callback", attributes={trace_types.ATTR_CALLBACK_NAME: name}):
        try:
            result = callback(reason) if _takes_reason(callback) else callback()
            if inspect.isawaitable(result):
                await result
        except (
            SystemExit,
            KeyboardInterrupt,
        ) as error:  # asyncio would end the loop with it, before the close
            raise RuntimeError(f"{name} raised {error!r}") from error


def _takes_reason(callback: Callback) -> bool:
    return any(each.kind in POSITIONAL for each in inspect.signature(callback).parameters.values())


def _name(callback: Callback) -> str:
    return str(getattr(callback, "__qualname__", None) or repr(callback))
