"""One job from its first line to its last: slot, lifespan, entrypoint, session end, close.

The objects handed to LiveKit travel to the job process by pickle, so they hold only functions importable by name.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

from livekit.agents import JobContext

from agent.runtime import metrics
from agent.runtime.call import CallWatch
from agent.runtime.datastores.base import publish
from agent.runtime.lifespan import LifespanOwner, Scope
from agent.runtime.settings import WorkerSettings
from agent.runtime.slots import SlotDirectory, SlotFile

logger = logging.getLogger("agent.runtime")

Hook = Callable[[JobContext, Any], Awaitable[None]]

USERDATA_KEY = "agent.runtime.job"
SAMPLE_SECONDS = 1.0
EXIT_CLOSE_DEADLINE = 70  # distinguishes "could not close" from a crash in the worker's log


@dataclass(frozen=True)
class JobHooks:
    """What the user gave: each a module-level function, so that the job process can import it."""

    lifespan: Callable[[JobContext], AbstractAsyncContextManager[Any]]
    entrypoint: Hook
    on_session_end: Hook | None
    on_time_limit: Hook | None


@dataclass(frozen=True)
class JobEntrypoint:
    """LiveKit's entrypoint: called once in each job process, with the job's own event loop running."""

    settings: WorkerSettings
    hooks: JobHooks

    async def __call__(self, ctx: JobContext) -> None:
        slot = await SlotDirectory(self.settings.slot_directory, self.settings.slots).acquire()
        job = Job(ctx, self.settings, self.hooks, slot)
        ctx.proc.userdata[USERDATA_KEY] = job
        # Exactly one: LiveKit runs them all at once, and one that fails cancels the others.
        ctx.add_shutdown_callback(job.close)
        await job.run()


@dataclass(frozen=True)
class JobSessionEnd:
    """LiveKit's `on_session_end`: runs before the shutdown callbacks, so the datastores are still open."""

    async def __call__(self, ctx: JobContext) -> None:
        job: Job | None = ctx.proc.userdata.get(USERDATA_KEY)
        if job is not None:
            await job.end_session()


class Job:
    """The running job of this process: owns a slot and, while open, the lifespan's datastores."""

    def __init__(self, ctx: JobContext, settings: WorkerSettings, hooks: JobHooks, slot: SlotFile) -> None:
        self._ctx = ctx
        self._settings = settings
        self._hooks = hooks
        self._slot = slot
        self._outcome = "completed"
        self._state: Any = None
        self._sampler: asyncio.Task[None] | None = None
        self._call: CallWatch | None = None
        self._scope = Scope("job", settings.datastore_close_timeout_seconds)
        self._owner: LifespanOwner[Any] = LifespanOwner(hooks.lifespan(ctx), self._scope)
        previous_died = metrics.has_live_gauges(settings.metrics_directory, slot.name)
        metrics.own(slot.name)
        if previous_died:
            metrics.JOBS.labels("killed").inc()

    async def run(self) -> None:
        """Open the lifespan, then await the user's entrypoint. What fails here fails the job."""
        try:
            self._state = await self._owner.open(self._settings.open_timeout_seconds)
            self._sampler = asyncio.create_task(self._sample(), name="datastore-sampler")
            self._call = CallWatch(
                self._ctx,
                join_timeout_seconds=self._settings.join_timeout_seconds,
                max_call_seconds=self._settings.max_call_seconds,
                goodbye_seconds=self._settings.goodbye_seconds,
                farewell=partial(self._run, self._hooks.on_time_limit) if self._hooks.on_time_limit else None,
            )
            await self._run(self._hooks.entrypoint)
        except Exception as error:
            if self._call is not None and self._call.over:
                logger.info("the entrypoint ended with its call: %s: %s", type(error).__name__, error)
                return
            self._outcome = "failed"
            raise

    async def end_session(self) -> None:
        """Await the user's `on_session_end` while the datastores are open; skipped if they never were."""
        if self._state is not None and self._hooks.on_session_end is not None:
            await self._run(self._hooks.on_session_end)

    async def close(self, reason: str) -> None:
        """Leave the lifespan within `close_timeout_seconds`; past it, end the process.

        On a normal hang-up nobody else would: only the worker's own shutdown arms LiveKit's deadline.
        """
        if self._call is not None:
            self._call.stop()
        closed = await self._owner.close(self._settings.close_timeout_seconds)
        if self._sampler is not None:
            self._sampler.cancel()
        metrics.JOBS.labels(self._outcome if closed else "failed").inc()
        metrics.forget(self._slot.name)
        logger.info("job closed", extra={"reason": reason, "slot": self._slot.name, "outcome": self._outcome})
        if not closed:
            logger.critical(
                "the job did not close within %g s and ends its process; the kernel closes its sockets",
                self._settings.close_timeout_seconds,
            )
            logging.shutdown()
            os._exit(EXIT_CLOSE_DEADLINE)

    async def _run(self, hook: Hook) -> None:
        async def call() -> None:
            await hook(self._ctx, self._state)

        await self._owner.run(call())

    async def _sample(self) -> None:
        while True:
            for datastore in list(self._scope.datastores.values()):
                publish(datastore)
            await asyncio.sleep(SAMPLE_SECONDS)
