"""LiveKit's AgentServer with a lifespan for its jobs, one for itself, and a hard cap on its jobs."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, NoReturn, TypeVar

from aiohttp import web
from livekit.agents import NOT_GIVEN, AgentServer, JobContext, JobProcess
from livekit.agents.utils.http_server import HttpServer

from agent.runtime import metrics, tracing
from agent.runtime.capacity import Capacity, RequestHook
from agent.runtime.errors import CLIENTS_DO_NOT_TRAVEL, AgentRuntimeError, LifespanError, SettingsError
from agent.runtime.job import Hook, JobEntrypoint, JobHooks, JobSessionEnd
from agent.runtime.last_resort import LastResort
from agent.runtime.lifespan import LifespanOwner
from agent.runtime.prewarm import JobPrewarm
from agent.runtime.scope import Scope
from agent.runtime.settings import WorkerSettings, connection_budgets, worker_settings
from agent.runtime.sweeper import Sweeper, WorkerState

logger = logging.getLogger("agent.runtime")

HookT = TypeVar("HookT", bound=Hook)
JobLifespan = Callable[[JobContext], AbstractAsyncContextManager[Any]]
WorkerLifespan = Callable[[], AbstractAsyncContextManager[Any]]

# What the worker lifespan may use to open: checks over the network, once, before any call is taken.
WORKER_OPEN_SECONDS = 60.0
EXIT_LIFESPAN_FAILED = 3
DATASTORES = "agent.runtime.datastores."


class LifespanServer(AgentServer):
    """An AgentServer whose jobs open their datastores in a lifespan and never exceed `AGENT_SLOTS`.

    Args:
        lifespan: an async context manager factory, called with the JobContext in each job's own loop; what it yields
            is the second argument of the entrypoint, `on_session_end` and `on_time_limit`.
        worker_lifespan: the same for the worker's main process: entered before the worker registers, left after the
            drain. Its clients cannot travel into jobs.
        prewarm: synchronous, in each job process before a job arrives; no loop runs, so it must open nothing.
        settings: instead of the environment's.
    """

    def __init__(
        self,
        *,
        lifespan: JobLifespan,
        worker_lifespan: WorkerLifespan = nullcontext,
        prewarm: Callable[[JobProcess], Any] | None = None,
        settings: WorkerSettings | None = None,
    ) -> None:
        try:
            self.settings = settings or worker_settings()
            connection_budgets()  # refused here, with the rest, rather than in a task
            tracing.configured()
        except SettingsError as error:
            sys.exit(str(error))
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(self.settings.metrics_directory)
        metrics.install()
        self._lifespan = lifespan
        self._worker_lifespan = worker_lifespan
        self._worker_owner: LifespanOwner[Any] | None = None
        self._worker_state: Any = None
        self._registered = False
        self._serving = False
        self._stopping = False
        self._sweeper_task: asyncio.Task[None] | None = None
        self._capacity = Capacity(self.settings.slots, lambda: {job.job.id for job in self.active_jobs})
        super().__init__(
            setup_fnc=JobPrewarm(self.settings.agent_name, prewarm),
            load_fnc=self._capacity.load,
            # Out of the way: the cap in on_request decides (see capacity.py).
            load_threshold=math.inf,
            num_idle_processes=self.settings.idle_processes,
            drain_timeout=self.settings.drain_timeout_seconds,
            session_end_timeout=self.settings.session_end_timeout_seconds,
            host=self.settings.host,
            port=self.settings.http_port,
            prometheus_port=self.settings.metrics_port,
            # With the drivers that the user's module has imported by now: a job process forks with them instead of
            # importing them anew, which takes seconds (elasticsearch, weaviate) of the 10 that LiveKit gives it.
            preload_modules=["agent.runtime", *sorted(m for m in sys.modules if m.startswith(DATASTORES))],
        )
        self.on("worker_registered", self._on_registered)

    def rtc_session(  # type: ignore[override]  # the entrypoint takes the lifespan's state as well
        self,
        *,
        agent_name: str = "",
        on_request: RequestHook | None = None,
        on_session_end: Hook | None = None,
        on_time_limit: Hook | None = None,
    ) -> Callable[[HookT], HookT]:
        """Register the entrypoint `async def entrypoint(ctx, state)`.

        Args:
            agent_name: for explicit dispatch; default `AGENT_NAME`.
            on_request: asked below capacity only; must accept or reject. Default: accept.
            on_session_end: awaited after the session, while the datastores are open: save the transcript here.
            on_time_limit: awaited at `AGENT_MAX_CALL_SECONDS`, within `AGENT_GOODBYE_SECONDS`: say goodbye.
        """

        def register(entrypoint: HookT) -> HookT:
            async def admit(request: Any) -> None:
                await self._capacity.admit(request, on_request)

            hooks = JobHooks(self._lifespan, entrypoint, on_session_end, on_time_limit)
            AgentServer.rtc_session(
                self,
                JobEntrypoint(self.settings, hooks),
                agent_name=agent_name or self.settings.agent_name,
                on_request=admit,
                on_session_end=JobSessionEnd(),
            )
            return entrypoint

        return register

    @property
    def state(self) -> Any:
        """What the worker lifespan yielded. Only in the worker's main process.

        Raises:
            LifespanError: in a job process, or before the lifespan was entered.
        """
        if self._worker_owner is None:
            raise LifespanError(f"the worker lifespan is not open in this process. {CLIENTS_DO_NOT_TRAVEL}")
        return self._worker_state

    async def run(self, *, devmode: bool = False, unregistered: bool = False) -> None:
        """Enter the worker lifespan, then serve. Exits with status 3 when the lifespan cannot be opened."""
        task = asyncio.current_task()
        if task is not None:  # LiveKit leaves this task's end unread
            task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        tracing.install(self.settings.agent_name)
        scope = Scope("worker", self.settings.close_timeout_seconds)
        self._worker_owner = LifespanOwner(self._worker_lifespan, scope, self._on_lifespan_death)
        try:
            metrics.claim(self.settings.metrics_directory)
            self._worker_state = await self._worker_owner.open(WORKER_OPEN_SECONDS)
        except Exception as error:
            if self._stopping:
                return
            self._exit_unopened(error)
        sweeper = Sweeper(self.settings, scope, self._current_state)
        # LiveKit empties the metrics directory before its first await. This task starts after that, and only it gives
        # the process its identity: what was counted before (the lifespan's own opening) is not kept.
        self._sweeper_task = asyncio.create_task(sweeper.run(), name="sweeper")
        self._serving = True
        await super().run(devmode=devmode, unregistered=unregistered)

    async def drain(self, timeout: Any = NOT_GIVEN) -> None:
        """Drain as LiveKit does; a worker that was stopped before it served has nothing to drain."""
        self._stopping = True
        if self._serving:
            await super().drain(timeout)

    async def aclose(self) -> None:
        """Close as LiveKit does, then leave the worker lifespan: what it holds is there until the last job ended."""
        self._stopping = True
        try:
            if self._serving:
                await super().aclose()
        finally:
            if self._sweeper_task is not None:
                self._sweeper_task.cancel()
            if self._worker_owner is not None and not await self._worker_owner.close():
                LastResort.end_process("the worker lifespan could not be left")

    def _on_lifespan_death(self) -> None:
        # Without it the worker is not what it promised to be: it drains, and its successor opens a new one.
        logger.critical("the worker lifespan ended by itself: draining")
        signal.raise_signal(signal.SIGTERM)

    def _exit_unopened(self, error: Exception) -> NoReturn:
        # LiveKit would log an exception as "worker failed" and exit with 0.
        if isinstance(error, AgentRuntimeError):
            logger.critical("the worker does not start: %s", error)
        else:
            logger.critical("the worker does not start: its lifespan raised", exc_info=error)
        raise SystemExit(EXIT_LIFESPAN_FAILED)

    def _current_state(self) -> WorkerState:
        if self.draining:
            return "draining"
        # LiveKit sets _connecting when it has lost the server, until it is registered anew.
        return "serving" if self._registered and not self._connecting else "starting"

    def _on_registered(self, *_: Any) -> None:
        self._registered = True

    async def _ready(self, _: web.Request) -> web.Response:
        state = self._current_state()
        return web.Response(text=state, status=200 if state == "serving" else 503)

    # LiveKit makes its health server inside run() and starts it there; a route can be added only in between.
    @property
    def _http_server(self) -> HttpServer | None:
        return self.__http_server

    @_http_server.setter
    def _http_server(self, server: HttpServer | None) -> None:
        if server is not None:
            server.app.add_routes([web.get("/ready", self._ready)])
        self.__http_server = server
