"""One job from its first line to its last: slot, lifespan, entrypoint, session end, close.

The objects handed to LiveKit travel to the job process by pickle, so they hold only functions importable by name.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

from livekit.agents import JobContext
from opentelemetry import trace

from agent.runtime import metrics
from agent.runtime.call import CallWatch
from agent.runtime.datastores.base import publish
from agent.runtime.errors import SlotUnavailable
from agent.runtime.last_resort import LastResort
from agent.runtime.lifespan import LifespanOwner, result_of
from agent.runtime.scope import Scope
from agent.runtime.settings import WorkerSettings
from agent.runtime.slots import SlotDirectory, SlotFile

logger = logging.getLogger("agent.runtime")

Hook = Callable[[JobContext, Any], Awaitable[None]]

USERDATA_KEY = "agent.runtime.job"
SAMPLE_SECONDS = 1.0
# LiveKit gives an entrypoint 15 s after the call's end; most that have not returned by then only wait for the caller.
ENTRYPOINT_GRACE_SECONDS = 1.0


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
        _log_with(ctx, job_id=ctx.job.id, room=ctx.job.room.name)
        try:
            slot = await SlotDirectory(self.settings.slot_directory, self.settings.slots).acquire()
        except SlotUnavailable:
            self._count_surplus()
            raise
        # Right after the lock, before anything of the user's runs: a death is counted from here on.
        metrics.begin(slot.name, self.settings)
        _log_with(ctx, slot=slot.name)
        trace.get_current_span().set_attribute("agent.slot", slot.name)  # LiveKit's own span of the job
        job = Job(ctx, self.settings, self.hooks, slot)
        ctx.proc.userdata[USERDATA_KEY] = job
        # Exactly one: LiveKit runs them all at once, and one that fails cancels the others.
        ctx.add_shutdown_callback(job.close)
        await job.run()

    def _count_surplus(self) -> None:
        # One identity for all surplus jobs, one at a time; a second one in the same instant goes uncounted.
        surplus = SlotFile(self.settings.slot_directory, "surplus")
        if surplus.try_lock():
            metrics.own(surplus.name)
            metrics.JOBS.labels("failed").inc()


def _log_with(ctx: JobContext, **fields: str) -> None:
    """Have these fields on every line that this job's process logs from here on, the user's own included."""
    ctx.log_context_fields = {**ctx.log_context_fields, **fields}


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
        self._over = False
        self._state: Any = None
        self._running: asyncio.Task[None] | None = None
        self._sampler: asyncio.Task[None] | None = None
        self._call: CallWatch | None = None
        self._last_resort = LastResort(settings.job_end_seconds)
        self._scope = Scope("job", settings.close_timeout_seconds)
        self._owner: LifespanOwner[Any] = LifespanOwner(
            partial(hooks.lifespan, ctx), self._scope, partial(self._end_call, "the lifespan ended")
        )

    async def run(self) -> None:
        """Open the lifespan, then await the user's entrypoint. What fails here fails the job."""
        settings = self._settings
        try:
            self._state = await self._owner.open(settings.open_timeout_seconds)
            self._sampler = asyncio.create_task(self._sample(), name="datastore-sampler")
            self._call = CallWatch(
                self._ctx.room,
                self._end_call,
                join_timeout_seconds=settings.join_timeout_seconds,
                max_call_seconds=settings.max_call_seconds,
                goodbye_seconds=settings.goodbye_seconds,
                farewell=partial(self._run, self._hooks.on_time_limit) if self._hooks.on_time_limit else None,
            )
            self._running = asyncio.current_task()
            await self._run(self._hooks.entrypoint)
        except asyncio.CancelledError:
            if not self._over:
                raise
            # LiveKit awaits this task, and would take its being cancelled for its own.
            logger.info("the entrypoint was cancelled %g s after its call's end", ENTRYPOINT_GRACE_SECONDS)
        except Exception as error:
            if self._over:
                logger.info("the entrypoint ended with its call: %s: %s", type(error).__name__, error)
                return
            self._outcome = "failed"
            raise

    async def end_session(self) -> None:
        """Await the user's `on_session_end` while the datastores are open; skipped if they never were."""
        if self._state is None or self._hooks.on_session_end is None:
            return
        try:
            await self._run(self._hooks.on_session_end)
        except BaseException:
            self._outcome = "failed"
            raise

    async def close(self, reason: str) -> None:
        """Leave the lifespan; when it cannot be left, end the process.

        On a normal hang-up nobody else would: only the worker's own shutdown arms LiveKit's deadline.
        """
        self._over = True
        self._last_resort.arm()
        if self._call is not None:
            self._call.stop()
        closed = await self._owner.close()
        if self._sampler is not None:
            self._sampler.cancel()
        outcome = "failed" if self._owner.failed else self._outcome
        metrics.end(self._slot.name, outcome, self._settings)
        logger.info("job closed", extra={"reason": reason, "outcome": outcome})
        if not closed:
            self._last_resort.end_process("the job could not close; the kernel closes its sockets")

    def _end_call(self, reason: str) -> None:
        if self._over:
            return
        self._over = True
        self._last_resort.arm()
        if self._running is not None:
            asyncio.get_running_loop().call_later(ENTRYPOINT_GRACE_SECONDS, self._running.cancel)
        self._ctx.shutdown(reason=reason)

    async def _run(self, hook: Hook) -> None:
        async def call() -> None:
            await hook(self._ctx, self._state)

        await result_of(self._owner.start(call()))

    async def _sample(self) -> None:
        while True:
            for datastore in list(self._scope.datastores.values()):
                publish(datastore)
            await asyncio.sleep(SAMPLE_SECONDS)
