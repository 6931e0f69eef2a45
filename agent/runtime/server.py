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
from typing import Any, NoReturn, Self, TypeVar, Unpack, overload

from aiohttp import web
from livekit.agents import NOT_GIVEN, AgentServer, JobContext, JobExecutorType
from livekit.agents.utils.http_server import HttpServer
from livekit.agents.worker import ServerOptions, ServerType

from agent.runtime import metrics, options, registration, start_checks, trace_export
from agent.runtime.capacity import Capacity, RequestHook
from agent.runtime.checked import CheckedServer, Prewarm
from agent.runtime.errors import (
    CLIENTS_DO_NOT_TRAVEL,
    AgentRuntimeError,
    LifespanError,
    OptionRefused,
    SettingsError,
)
from agent.runtime.job import JobEntrypoint, JobHooks, JobSessionEnd
from agent.runtime.last_resort import LastResort
from agent.runtime.lifespan import LifespanOwner
from agent.runtime.scope import Scope
from agent.runtime.settings import WorkerSettings, connection_budgets, worker_settings
from agent.runtime.sweeper import Sweeper, WorkerState

logger = logging.getLogger("agent.runtime")

HookT = TypeVar("HookT", bound=Callable[..., Any])
JobLifespan = Callable[[JobContext], AbstractAsyncContextManager[Any]]
WorkerLifespan = Callable[[], AbstractAsyncContextManager[Any]]

# What the worker lifespan may use to open: checks over the network, once, before any call is taken.
WORKER_OPEN_SECONDS = 60.0
EXIT_LIFESPAN_FAILED = 3
# LiveKit's 10 end a process on a busy machine while it still imports the drivers, and begin anew, for ever (measured).
INITIALIZE_SECONDS = 30.0
TERMINATION_POLL_SECONDS = 0.05
DATASTORES = "agent.runtime.datastores."


class LifespanServer(CheckedServer):
    """An AgentServer whose jobs open their datastores in a lifespan and never exceed `AGENT_SLOTS`.

    Args:
        lifespan: an async context manager factory, called with the JobContext in each job's own loop; what it yields
            is the second argument of the entrypoint, `on_session_end` and `on_time_limit`.
        worker_lifespan: the same for the worker's main process: entered before the worker registers, left after the
            drain. Its clients cannot travel into jobs.
        prewarm: synchronous, in each job process before a job arrives; no loop runs, so it must open nothing.
            LiveKit's `setup_fnc` is the same.
        settings: instead of the environment's.
        livekit: LiveKit's own keywords. What the budget sets is refused, with the variable's name: OPTIONS.md.
    """

    def __init__(
        self,
        *,
        lifespan: JobLifespan,
        worker_lifespan: WorkerLifespan = nullcontext,
        prewarm: Prewarm | None = None,
        settings: WorkerSettings | None = None,
        **livekit: Unpack[options.LiveKitOptions],
    ) -> None:
        try:
            self.settings = settings or worker_settings()
            connection_budgets()  # refused here, with the rest, rather than in a task
            trace_export.configured()
            handed_on = options.accepted("LifespanServer", livekit)
            handed_on.setdefault("initialize_process_timeout", INITIALIZE_SECONDS)
            setup_fnc = handed_on.pop("setup_fnc", None)
            if prewarm is not None and setup_fnc is not None:
                raise OptionRefused(
                    "LifespanServer(prewarm=…, setup_fnc=…): the same thing twice; give one of them"
                )
        except (SettingsError, OptionRefused) as error:
            sys.exit(str(error))
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(self.settings.metrics_directory)
        metrics.install()
        self._lifespan = lifespan
        self._worker_lifespan = worker_lifespan
        self._worker_owner: LifespanOwner[Any] | None = None
        self._worker_opened = False
        self._worker_state: Any = None
        self._named = False
        self._registered = False
        self._stopping = False
        self._sweeper_task: asyncio.Task[None] | None = None
        self._capacity = Capacity(self.settings.slots, lambda: {job.job.id for job in self.active_jobs})
        # With the drivers that the user's module has imported by now: a job process forks with them instead of
        # importing them anew, which takes seconds (elasticsearch, weaviate) of the 10 that LiveKit gives it.
        preloaded = ["agent.runtime", *sorted(m for m in sys.modules if m.startswith(DATASTORES))]
        super().__init__(
            load_fnc=self._capacity.load,
            # Out of the way: the cap in on_request decides (see capacity.py).
            load_threshold=math.inf,
            num_idle_processes=self.settings.idle_processes,
            drain_timeout=self.settings.drain_timeout_seconds,
            shutdown_process_timeout=self.settings.shutdown_process_timeout_seconds,
            session_end_timeout=self.settings.session_end_timeout_seconds,
            host=self.settings.host,
            port=self.settings.http_port,
            prometheus_port=self.settings.metrics_port,
            # Without end, 10 s apart at most: LiveKit's 16 (131 s) end run(), and with it every call that goes on.
            max_retry=sys.maxsize,
            preload_modules=preloaded + (handed_on.pop("preload_modules", None) or []),
            **handed_on,
        )
        self.setup_fnc = prewarm or setup_fnc
        self.on("worker_registered", self._on_registered)

    @classmethod
    def from_server_options(  # type: ignore[override]  # a lifespan is what this server is for
        cls,
        given: ServerOptions,
        *,
        lifespan: JobLifespan,
        worker_lifespan: WorkerLifespan = nullcontext,
        settings: WorkerSettings | None = None,
    ) -> Self:
        """From LiveKit's ServerOptions: what differs from its defaults counts as given, and is handed on or refused."""
        server = cls(
            lifespan=lifespan,
            worker_lifespan=worker_lifespan,
            settings=settings,
            **options.given_in(given),
        )
        server.rtc_session(
            given.entrypoint_fnc,
            agent_name=given.agent_name or None,
            type=given.worker_type,
            on_request=given.request_fnc,
        )
        return server

    @overload
    def rtc_session(self, func: HookT, **session: Unpack[options.SessionOptions]) -> HookT: ...

    @overload
    def rtc_session(self, **session: Unpack[options.SessionOptions]) -> Callable[[HookT], HookT]: ...

    def rtc_session(
        self,
        func: HookT | None = None,
        *,
        agent_name: str | None = None,
        type: ServerType = ServerType.ROOM,  # noqa: A002  # LiveKit's name for it
        on_request: RequestHook | None = None,
        on_session_end: Callable[..., Any] | None = None,
        on_simulation_end: Callable[..., Any] | None = None,
        on_time_limit: Callable[..., Any] | None = None,
        on_caller_lost: Callable[..., Any] | None = None,
        on_caller_back: Callable[..., Any] | None = None,
        close_on_disconnect: bool = True,
    ) -> HookT | Callable[[HookT], HookT]:
        """Register the entrypoint `async def entrypoint(ctx, state)`; every hook may leave the state out.

        Args:
            func: the entrypoint, where this is no decorator with arguments.
            agent_name: for explicit dispatch; default `AGENT_NAME`, which must not differ. "" is automatic dispatch.
            type: a job for each room, or for each publisher.
            on_request: asked below capacity only; must accept or reject. Default: accept.
            on_session_end: awaited after the session, while the datastores are open: save the transcript here.
            on_simulation_end: LiveKit's own.
            on_time_limit: awaited at `AGENT_MAX_CALL_SECONDS`, within `AGENT_GOODBYE_SECONDS`: say goodbye.
            on_caller_lost: awaited when the last caller vanished (a reload, a network that went, LiveKit restarting)
                and may be back within `AGENT_REJOIN_SECONDS`: pause. Not when a caller hangs up.
            on_caller_back: awaited when somebody is there again, after `on_caller_lost`: go on.
            close_on_disconnect: False: no caller's leaving ends the call, for transfers; the entrypoint ends it by
                `ctx.shutdown()`, else the room's end, `AGENT_JOIN_TIMEOUT_SECONDS` or `AGENT_MAX_CALL_SECONDS` does.
                The same switch of LiveKit's RoomOptions is obeyed as well.
        """

        async def admit(request: Any) -> None:
            await self._capacity.admit(request, on_request)

        def register(entrypoint: HookT) -> HookT:
            with self._told():
                hooks = JobHooks(
                    self._lifespan,
                    registration.hook(entrypoint, "rtc_session: the entrypoint"),
                    on_session_end and registration.hook(on_session_end, "rtc_session: on_session_end"),
                    on_time_limit and registration.hook(on_time_limit, "rtc_session: on_time_limit"),
                    on_caller_lost and registration.hook(on_caller_lost, "rtc_session: on_caller_lost"),
                    on_caller_back and registration.hook(on_caller_back, "rtc_session: on_caller_back"),
                    close_on_disconnect,
                )
                name = registration.agent_name(self.settings, agent_name)
            self._named = name is not None
            if name is not None:  # gauges, traces and jobs know the agent by it
                self.settings = self.settings.model_copy(update={"agent_name": name})
                self.setup_fnc = self._prewarm
            AgentServer.rtc_session(
                self,
                JobEntrypoint(self.settings, hooks),
                agent_name=self.settings.agent_name,
                type=type,
                on_request=admit,
                on_session_end=JobSessionEnd(),
                on_simulation_end=on_simulation_end,
            )
            return entrypoint

        return register if func is None else register(func)

    @property
    def state(self) -> Any:
        """What the worker lifespan yielded. Only in the worker's main process.

        Raises:
            LifespanError: in a job process, or before the lifespan was entered.
        """
        if not self._worker_opened:
            raise LifespanError(f"the worker lifespan is not open in this process. {CLIENTS_DO_NOT_TRAVEL}")
        return self._worker_state

    async def run(self, *, devmode: bool = False, unregistered: bool = False) -> None:
        """Enter the worker lifespan, then serve. Exits with status 3 when the lifespan cannot be opened."""
        if self._job_executor_type == JobExecutorType.PROCESS:
            with self._told():
                registration.check_importable(
                    (self._setup_fnc, self._entrypoint_fnc, self._simulation_end_fnc)
                )
        if not self._named:
            logger.warning(
                "nobody named the agent: it is %r, for calls dispatched to that name. AGENT_NAME gives another; "
                'rtc_session(agent_name="") is LiveKit\'s automatic dispatch',
                self.settings.agent_name,
            )
        task = asyncio.current_task()
        if task is not None:  # LiveKit leaves this task's end unread
            task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        trace_export.install(self.settings.agent_name)
        scope = Scope("worker", self.settings.close_timeout_seconds)
        self._worker_owner = LifespanOwner(self._worker_lifespan, scope, self._on_lifespan_death)
        try:
            start_checks.check(self.settings, self._job_executor_type)
            metrics.claim(self.settings.metrics_directory)
            self._worker_state = await self._worker_owner.open(WORKER_OPEN_SECONDS)
            self._worker_opened = True
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
        await self._leave()  # LiveKit's `console` waits for this alone, and cuts aclose() off

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
            await self._leave()

    async def _leave(self) -> None:
        if self._sweeper_task is not None:
            self._sweeper_task.cancel()
        if self._worker_owner is not None and not await self._worker_owner.close():
            LastResort.end_process("the worker lifespan could not be left")

    async def _handle_termination(self, msg: Any) -> None:
        # Who gives a call up while its job is being started is not heard by LiveKit: no process has the job yet.
        while self._capacity.is_starting(msg.job_id) and self._proc_pool.get_by_job_id(msg.job_id) is None:  # noqa: ASYNC110
            await asyncio.sleep(TERMINATION_POLL_SECONDS)
        await super()._handle_termination(msg)

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

    @staticmethod
    async def _live(_: web.Request) -> web.Response:
        """About this process alone: who can answer has a loop that turns, and calls that a restart would cut off."""
        return web.Response(text="alive")

    # LiveKit makes its health server inside run() and starts it there; a route can be added only in between.
    @property
    def _http_server(self) -> HttpServer | None:
        return self.__http_server

    @_http_server.setter
    def _http_server(self, server: HttpServer | None) -> None:
        if server is not None:
            server.app.add_routes([web.get("/ready", self._ready), web.get("/live", self._live)])
        self.__http_server = server
