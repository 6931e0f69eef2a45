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

from livekit.agents import JobContext, JobExecutorType
from opentelemetry import trace

from agent.runtime import metrics
from agent.runtime.call import CallHooks, CallWatch, Told
from agent.runtime.call_log import add_to_lines, name_call
from agent.runtime.datastores.base import publish
from agent.runtime.errors import SlotUnavailable
from agent.runtime.last_resort import LastResort
from agent.runtime.lifespan import LifespanOwner, result_of
from agent.runtime.scope import Scope
from agent.runtime.settings import WorkerSettings
from agent.runtime.shutdown_callbacks import ShutdownCallbacks
from agent.runtime.slots import SlotDirectory, SlotFile
from agent.runtime.takeover import Ending

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
    on_caller_lost: Hook | None
    on_caller_back: Hook | None
    close_on_disconnect: bool


@dataclass(frozen=True)
class JobEntrypoint:
    """LiveKit's entrypoint: called once in each job process, with the job's own event loop running."""

    settings: WorkerSettings
    hooks: JobHooks

    async def __call__(self, ctx: JobContext) -> None:
        name_call(ctx)
        try:
            slot = await SlotDirectory(self.settings.slot_directory, self.settings.slots).acquire()
        except SlotUnavailable:
            self._count_surplus()
            raise
        # Right after the lock, before anything of the user's runs: a death is counted from here on.
        metrics.begin(slot.name, self.settings)
        add_to_lines(ctx, slot=slot.name)
        trace.get_current_span().set_attribute("agent.slot", slot.name)  # LiveKit's own span of the job
        job = Job(ctx, self.settings, self.hooks, slot)
        ctx.proc.userdata[USERDATA_KEY] = job
        # The one that LiveKit knows; what is added after it runs in it, before the datastores close.
        ctx.add_shutdown_callback(job.close)
        job.callbacks = ShutdownCallbacks(ctx, self.settings.shutdown_callbacks_seconds)
        await job.run()

    def _count_surplus(self) -> None:
        # One identity for all surplus jobs, one at a time; a second one in the same instant goes uncounted.
        surplus = SlotFile(self.settings.slot_directory, "surplus")
        if surplus.try_lock():
            metrics.own(surplus.name)
            metrics.JOBS.labels("failed", metrics.Ended.ENDED).inc()


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
        self.callbacks: ShutdownCallbacks | None = None
        self._ctx = ctx
        self._settings = settings
        self._hooks = hooks
        self._slot = slot
        self._outcome = "completed"
        self._how = metrics.Ended.ENDED
        self._over = False
        # Not told by the state: a lifespan may yield nothing.
        self._opened = False
        self._state: Any = None
        self._running: asyncio.Task[None] | None = None
        self._sampler: asyncio.Task[None] | None = None
        self._call: CallWatch | None = None
        self._ending: Ending | None = None
        self._last_resort = LastResort(settings.job_end_seconds)
        self._scope = Scope("job", settings.close_timeout_seconds)
        self._owner: LifespanOwner[Any] = LifespanOwner(
            partial(hooks.lifespan, ctx),
            self._scope,
            partial(self._end_call, metrics.Ended.ENDED, "the lifespan ended"),
        )

    async def run(self) -> None:
        """Open the lifespan, then await the user's entrypoint. What fails here fails the job."""
        settings = self._settings
        try:
            self._state = await self._owner.open(settings.open_timeout_seconds)
            self._opened = True
            self._sampler = asyncio.create_task(self._sample(), name="datastore-sampler")
            self._ending = Ending(self._ctx)
            self._call = CallWatch(
                self._ctx.room,
                self._end_call,
                join_timeout_seconds=settings.join_timeout_seconds,
                rejoin_seconds=settings.rejoin_seconds,
                max_call_seconds=settings.max_call_seconds,
                goodbye_seconds=settings.goodbye_seconds,
                hooks=CallHooks(
                    farewell=self._told(self._hooks.on_time_limit),
                    lost=self._told(self._hooks.on_caller_lost),
                    back=self._told(self._hooks.on_caller_back),
                ),
                close_on_disconnect=self._closes_on_disconnect,
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
        """The user's `on_session_end`; then, unless the entrypoint failed, the word that this end was wanted."""
        crashed = self._outcome == "failed"
        try:
            await self._end_session()
        finally:
            if self._ending is not None and not crashed:
                await self._ending.say()

    async def _end_session(self) -> None:
        """Await the user's `on_session_end` while the datastores are open; skipped if they never were."""
        if not self._opened or self._hooks.on_session_end is None:
            return
        try:
            await self._run(self._hooks.on_session_end)
        except BaseException:
            self._outcome = "failed"
            raise

    async def close(self, reason: str) -> None:
        """Run the user's own shutdown callbacks, then leave the lifespan; when it cannot be left, end the process.

        On a normal hang-up nobody else would: only the worker's own shutdown arms LiveKit's deadline.
        """
        self._over = True
        self._last_resort.arm()
        if self._call is not None:
            self._call.stop()
        if self.callbacks is not None:
            await self.callbacks.run(reason)
        closed = await self._owner.close()
        if self._sampler is not None:
            self._sampler.cancel()
        failed = self._owner.failed or (self.callbacks is not None and self.callbacks.failed)
        outcome = "failed" if failed else self._outcome
        metrics.end(self._slot.name, outcome, self._how, self._settings)
        logger.info("job closed", extra={"reason": reason, "outcome": outcome, "ended": self._how})
        if not closed:
            self._last_resort.end_process("the job could not close; the kernel closes its sockets")
        if (
            self._ctx.proc.executor_type is JobExecutorType.THREAD
        ):  # `console`, where no process ends with the job
            self._last_resort.disarm()
            self._slot.close()

    def _end_call(self, how: metrics.Ended, reason: str) -> None:
        if self._over:
            return
        self._over = True
        self._how = how
        self._last_resort.arm()
        if self._running is not None:
            asyncio.get_running_loop().call_later(ENTRYPOINT_GRACE_SECONDS, self._running.cancel)
        self._ctx.shutdown(reason=reason)

    def _closes_on_disconnect(self) -> bool:
        """Both switches must be on: the decorator's, and LiveKit's own of the session, where the entrypoint has one."""
        try:
            room_io = self._ctx.primary_session._room_io  # noqa: SLF001  # LiveKit has no public way to it
        except RuntimeError:  # no session
            room_io = None
        sessions = room_io is None or room_io._options.close_on_disconnect  # noqa: SLF001
        return self._hooks.close_on_disconnect and sessions

    def _told(self, hook: Hook | None) -> Told | None:
        return partial(self._run, hook) if hook else None

    async def _run(self, hook: Hook) -> None:
        async def call() -> None:
            await hook(self._ctx, self._state)

        await result_of(self._owner.start(call()))

    async def _sample(self) -> None:
        while True:
            for datastore in list(self._scope.datastores.values()):
                publish(datastore)
            await asyncio.sleep(SAMPLE_SECONDS)
