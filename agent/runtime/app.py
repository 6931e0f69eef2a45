"""The job's lifespan in an ASGI app (FastAPI, Starlette): one definition serves an API and its agents.

The app's processes are a `consumer` in the budget: each holds what a job holds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

from agent.runtime.scope import Scope, lifespan_scope

StateT = TypeVar("StateT")


def app_lifespan(
    lifespan: Callable[[Any], AbstractAsyncContextManager[StateT]], *, close_timeout: float = 8.0
) -> Callable[[Any], AbstractAsyncContextManager[StateT]]:
    """`FastAPI(lifespan=app_lifespan(lifespan))`: what it yields, a mapping, is every request's `request.state`.

    Args:
        lifespan: the one that LifespanServer takes; here it is called with the app instead of a JobContext.
        close_timeout: seconds for closing everything.
    """

    @asynccontextmanager
    async def of_app(app: Any) -> AsyncIterator[StateT]:
        with lifespan_scope(Scope("app", close_timeout)) as scope:
            async with lifespan(app) as state:
                scope.opening = False
                yield state

    return of_app
