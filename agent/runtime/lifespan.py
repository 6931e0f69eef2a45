"""FastAPI's lifespan, for a job or a worker: one async context manager, opened before `yield`, closed after it.

LiveKit runs a job's entrypoint and its shutdown callbacks in different tasks, and an async context manager (a task
group, a cancel scope, a context variable) must be left in the task that entered it. So one *owner* task enters the
lifespan, waits, and leaves it; everyone else only tells it when.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
from collections.abc import Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from agent.runtime.errors import IN_THE_LIFESPAN, DatastoreUnavailable, LifespanError

if TYPE_CHECKING:
    from agent.runtime.datastores.base import Datastore

logger = logging.getLogger("agent.runtime")

StateT = TypeVar("StateT")
ResultT = TypeVar("ResultT")

# After a cancelled close, what a task may use to unwind before it is given up.
UNWIND_SECONDS = 1.0

_scope: contextvars.ContextVar[Scope] = contextvars.ContextVar("agent_lifespan_scope")


@dataclass
class Scope:
    """What one lifespan has opened, and where: a datastore asks it whether this is the place to open."""

    kind: Literal["job", "worker", "command"]
    datastore_close_timeout: float
    opening: bool = True
    datastores: dict[str, Datastore] = field(default_factory=dict)
    pid: int = field(default_factory=os.getpid)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    @classmethod
    def current(cls, name: str) -> Scope:
        """The lifespan that is being opened in this task.

        Raises:
            LifespanError: `name` is opened outside of a lifespan (prewarm, module level), after its `yield`, in another
                loop or process than the lifespan's, or twice.
        """
        scope = _scope.get(None)
        if scope is None:
            raise LifespanError(
                f"{name} was opened outside of a lifespan (prewarm has no running loop, and what is opened there "
                f"belongs to none). {IN_THE_LIFESPAN}"
            )
        if scope.pid != os.getpid():
            raise LifespanError(
                f"{name} was opened in process {os.getpid()}, forked from the lifespan's process {scope.pid}: "
                f"sockets must not be shared across a fork. {IN_THE_LIFESPAN}"
            )
        if scope.loop is not asyncio.get_running_loop():
            raise LifespanError(
                f"{name} was opened in another event loop than the {scope.kind}'s own: its connections would be "
                f"bound to that loop and could not be closed at the end. {IN_THE_LIFESPAN}"
            )
        if name in scope.datastores:
            raise LifespanError(
                f"{name} was opened twice in one {scope.kind}: the budget counts one pool of it. Pass the first client "
                "on (the lifespan's yielded state), or give the second a name and a row in the budget."
            )
        if not scope.opening:
            raise LifespanError(
                f"{name} was opened after the {scope.kind} lifespan's `yield`. {IN_THE_LIFESPAN}"
            )
        return scope

    def share(self, name: str, *, job: int, worker: int) -> int:
        """The pool size of this lifespan, in connections.

        Raises:
            LifespanError: the budget grants the worker lifespan none.
        """
        size = worker if self.kind == "worker" else job
        if size == 0:
            raise LifespanError(
                f"the budget grants the worker lifespan no {name} connection ({name.upper()}_WORKER_POOL=0): set "
                f"worker_pool of {name} in the stack config, or do not open it there"
            )
        return size


@contextmanager
def lifespan_scope(scope: Scope) -> Iterator[Scope]:
    """Datastores opened within belong to `scope`."""
    token = _scope.set(scope)
    try:
        yield scope
    finally:
        _scope.reset(token)


def command_scope(datastore_close_timeout: float = 3.0) -> AbstractContextManager[Scope]:
    """Lets a command of its own process (no job, no worker) open datastores, each with a job's pool."""
    return lifespan_scope(Scope("command", datastore_close_timeout))


class LifespanOwner(Generic[StateT]):
    """The one task that enters a lifespan and leaves it.

    `open()` and `close()` may be called from any task of the same loop; each wait has a deadline in seconds.
    """

    def __init__(self, manager: AbstractAsyncContextManager[StateT], scope: Scope) -> None:
        self.scope = scope
        self._manager = manager
        self._leave = asyncio.Event()
        self._context = contextvars.copy_context()
        self._task: asyncio.Task[None] | None = None

    async def open(self, timeout: float) -> StateT:
        """Enter the lifespan and return what it yields.

        Raises:
            DatastoreUnavailable: not open within `timeout`; what was open is closed again.
            BaseException: whatever the lifespan raised before its `yield`, after it closed what it had opened.
        """
        opened: asyncio.Future[StateT] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._own(opened), name=f"{self.scope.kind}-lifespan")
        try:
            async with asyncio.timeout(timeout):
                waited: set[asyncio.Future[Any]] = {opened, self._task}
                await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            begun = ", ".join(self.scope.datastores) or "nothing"
            await self._abandon(self._task, self.scope.datastore_close_timeout + UNWIND_SECONDS)
            raise DatastoreUnavailable(
                f"the {self.scope.kind} lifespan was not open within {timeout:g} s "
                f"(begun: {begun}; the last of them did not answer)"
            ) from None
        except asyncio.CancelledError:
            await self._abandon(self._task, self.scope.datastore_close_timeout + UNWIND_SECONDS)
            raise
        if opened.done():
            return opened.result()
        self._task.result()  # raises what the lifespan raised
        raise LifespanError(f"the {self.scope.kind} lifespan ended without a `yield`")

    async def run(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Await `work` with the context variables that the lifespan set before its `yield`."""
        task = asyncio.create_task(work, context=self._context.copy())
        try:
            return await task
        finally:
            # A cancelled caller cancelled the task with it; never leave it running on its own.
            task.cancel()

    async def close(self, timeout: float) -> bool:
        """Leave the lifespan: what stands after its `yield` runs, datastores close in reverse order.

        Idempotent. Never raises what the lifespan raises; that is logged.

        Returns:
            False if it was not left within `timeout` and did not react to a cancel: something hangs, and only the
            end of the process frees its sockets.
        """
        if self._task is None:
            return True
        self._leave.set()
        await asyncio.wait({self._task}, timeout=timeout)
        if not self._task.done():
            logger.error("the %s lifespan was not left within %g s, cancelling it", self.scope.kind, timeout)
            return await self._abandon(self._task, UNWIND_SECONDS)
        if not self._task.cancelled() and (error := self._task.exception()):
            logger.error("the %s lifespan raised", self.scope.kind, exc_info=error)
        return True

    async def _own(self, opened: asyncio.Future[StateT]) -> None:
        with lifespan_scope(self.scope):
            await self._hold(opened)

    async def _hold(self, opened: asyncio.Future[StateT]) -> None:
        async with self._manager as state:
            self.scope.opening = False
            self._context = contextvars.copy_context()
            if not opened.done():
                opened.set_result(state)
            await self._leave.wait()

    @staticmethod
    async def _abandon(task: asyncio.Task[None], timeout: float) -> bool:
        """Cancel the owner so that the lifespan unwinds; True when it did within `timeout` seconds."""
        task.cancel()
        await asyncio.wait({task}, timeout=timeout)
        if task.done() and not task.cancelled():
            task.exception()  # retrieved: the caller reports its own error
        return task.done()
