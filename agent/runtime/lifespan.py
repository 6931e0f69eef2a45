"""FastAPI's lifespan, for a job or a worker: one async context manager, opened before `yield`, closed after it.

LiveKit runs a job's entrypoint and its shutdown callbacks in different tasks, and an async context manager (a task
group, a cancel scope, a context variable) must be left in the task that entered it. So one *owner* task enters the
lifespan, waits, and leaves it; everyone else only tells it when.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, TypeVar

from agent.runtime import metrics
from agent.runtime.errors import CancelledFromWithin, DatastoreUnavailable, LifespanError
from agent.runtime.scope import UNWIND_SECONDS, Scope, lifespan_scope

logger = logging.getLogger("agent.runtime")

# For what unwinds after a cancel; LiveKit gives an entrypoint 15 s from the call's end on.
PATIENCE_SECONDS = 10.0

StateT = TypeVar("StateT")
ResultT = TypeVar("ResultT")


class LifespanOwner(Generic[StateT]):
    """The one task that enters a lifespan and leaves it. Any task of its loop may call `open()` and `close()`.

    Args:
        manager: called once, by the owner; what it raises is a lifespan that did not open.
        on_death: called when the lifespan ends by itself between the two (a task group in it failed, say): whoever
            works with its datastores has none any more.
    """

    def __init__(
        self,
        manager: Callable[[], AbstractAsyncContextManager[StateT]],
        scope: Scope,
        on_death: Callable[[], None],
    ) -> None:
        self.scope = scope
        self.failed = False
        """True once the lifespan raised, or had to be cancelled."""
        self._manager = manager
        self._on_death = on_death
        self._leave = asyncio.Event()
        self._context = contextvars.copy_context()
        self._task: asyncio.Task[None] | None = None

    async def open(self, timeout: float) -> StateT:
        """Enter the lifespan and return what it yields, within `timeout` seconds.

        Raises:
            DatastoreUnavailable: not open in time; what was open is closed again.
            BaseException: whatever the lifespan raised before its `yield`, after it closed what it had opened.
        """
        opened: asyncio.Future[StateT] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._own(opened), name=f"{self.scope.kind}-lifespan")
        waited: set[asyncio.Future[Any]] = {opened, self._task}
        try:
            done, _ = await asyncio.wait(waited, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self._abandon(self._task, self.scope.close_timeout + UNWIND_SECONDS)
            raise
        if not done:
            still = [name for name in self.scope.datastores if name not in self.scope.opened]
            for name in still:
                metrics.OPEN_FAILURES.labels(name).inc()
            await self._abandon(self._task, self.scope.close_timeout + UNWIND_SECONDS)
            raise DatastoreUnavailable(
                f"the {self.scope.kind} lifespan was not open within {timeout:g} s (open: "
                f"{', '.join(self.scope.opened) or 'none'}; still opening: {', '.join(still) or 'none'})"
            )
        if not opened.done():
            await result_of(self._task)  # raises what the lifespan raised
            raise LifespanError(f"the {self.scope.kind} lifespan ended without a `yield`")
        self._task.add_done_callback(self._ended)
        return opened.result()

    def start(self, work: Coroutine[Any, Any, ResultT]) -> asyncio.Task[ResultT]:
        """Run `work` with the context variables that the lifespan set before its `yield`."""
        return asyncio.create_task(work, context=self._context.copy())

    async def close(self) -> bool:
        """Leave the lifespan: what stands after its `yield` runs, datastores close in reverse order.

        Idempotent; an open that is under way is given up. Never raises what the lifespan raises; that is logged.

        Returns:
            False if it was not left within `Scope.close_timeout` and did not react to a cancel: something hangs, and
            only the end of the process frees its sockets.
        """
        if self._task is None:
            return True
        self._leave.set()
        if self.scope.opening:
            return await self._abandon(self._task, self.scope.close_timeout + UNWIND_SECONDS)
        # The datastores share close_timeout; the last of them must be seen to have used up its part.
        await asyncio.wait({self._task}, timeout=self.scope.close_timeout + UNWIND_SECONDS)
        if self._task.done():
            return True
        self.failed = True
        logger.error(
            "the %s lifespan was not left within %g s, cancelling it",
            self.scope.kind,
            self.scope.close_timeout,
        )
        return await self._abandon(self._task, UNWIND_SECONDS)

    async def _own(self, opened: asyncio.Future[StateT]) -> None:
        with lifespan_scope(self.scope):
            async with self._manager() as state:
                self.scope.opening = False
                self._context = contextvars.copy_context()
                opened.set_result(state)
                await self._leave.wait()

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.failed = True
            logger.error("the %s lifespan raised", self.scope.kind, exc_info=error)
        if not self._leave.is_set():
            self.failed = True
            logger.error("the %s lifespan ended before its time", self.scope.kind)
            self._on_death()

    @staticmethod
    async def _abandon(task: asyncio.Task[None], timeout: float) -> bool:
        """Cancel the owner so that the lifespan unwinds; True when it did within `timeout` seconds."""
        task.cancel()
        await asyncio.wait({task}, timeout=timeout)
        if task.done() and not task.cancelled():
            task.exception()  # retrieved: the caller reports its own error
        return task.done()


async def result_of(task: asyncio.Task[ResultT]) -> ResultT:
    """Await `task`, taking it along when the caller is cancelled.

    Raises:
        CancelledError: the caller was cancelled, and `task` with it. What has not ended PATIENCE_SECONDS later is left
            behind: a cancel gets lost at times (before Python 3.12 in `asyncio.wait_for`, and so in PyMongo).
        CancelledFromWithin: `task` ended cancelled though nobody cancelled the caller; a bare CancelledError would
            look to LiveKit as if the entrypoint had ended well.
        BaseException: what `task` raised.
    """
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task}, timeout=PATIENCE_SECONDS)
        if not task.done():
            logger.error(
                "%s did not end %g s after its cancel: left behind", task.get_name(), PATIENCE_SECONDS
            )
        if not task.done() or task.cancelled():
            raise
    if task.cancelled():
        raise CancelledFromWithin(f"{task.get_name()} was cancelled by something it ran itself")
    return task.result()
