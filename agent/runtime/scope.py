"""Where a datastore may be opened: in a lifespan, in its own loop and process, before its `yield`, once."""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Literal

from agent.runtime.errors import IN_THE_LIFESPAN, LifespanError
from agent.runtime.protocol import Datastore

# After a cancelled close, what a task may use to unwind before it is given up.
UNWIND_SECONDS = 0.5

_scope: contextvars.ContextVar[Scope] = contextvars.ContextVar("agent_lifespan_scope")


@dataclass
class Scope:
    """What one lifespan has opened, and where: a datastore asks it whether this is the place to open."""

    kind: Literal["job", "worker", "command", "app"]
    close_timeout: float
    """Seconds for closing everything, from the first close on."""
    opening: bool = True
    datastores: dict[str, Datastore] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)
    pid: int = field(default_factory=os.getpid)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    _close_by: float | None = None

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

    def close_share(self) -> float:
        """Seconds that the next close may take, so that each of those still open gets its turn."""
        now = self.loop.time()
        if self._close_by is None:
            self._close_by = now + self.close_timeout
        return max(self._close_by - now, UNWIND_SECONDS) / max(len(self.datastores), 1)


@contextmanager
def lifespan_scope(scope: Scope) -> Iterator[Scope]:
    """Datastores opened within belong to `scope`."""
    token = _scope.set(scope)
    try:
        yield scope
    finally:
        _scope.reset(token)


def command_scope(close_timeout: float = 8.0) -> AbstractContextManager[Scope]:
    """Lets a command of its own process (no job, no worker) open datastores, each with a job's pool."""
    return lifespan_scope(Scope("command", close_timeout))
