"""LiveKit's AgentServer, none of whose options is dropped in silence, and which registers once it can take a call."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Unpack

from livekit.agents import AgentServer, JobProcess

from agent.runtime import options
from agent.runtime.errors import OptionRefused
from agent.runtime.prewarm import JobPrewarm
from agent.runtime.settings import WorkerSettings

logger = logging.getLogger("agent.runtime")

Prewarm = Callable[[JobProcess], Any]


class CheckedServer(AgentServer):
    """What may be set after the construction is handed on or refused as at the construction."""

    settings: WorkerSettings
    _prewarm: Prewarm | None = None
    _serving = False

    def update_options(self, **livekit: Unpack[options.LiveKitOptions]) -> None:  # type: ignore[override]
        """LiveKit's, before the server runs; what the budget sets is refused here as well."""
        with self._told():
            super().update_options(**options.accepted("update_options", livekit))

    @property
    def setup_fnc(self) -> Prewarm | None:
        """LiveKit's name for `prewarm`; may be set until the server runs."""
        return self._prewarm

    @setup_fnc.setter
    def setup_fnc(self, value: Prewarm | None) -> None:
        if value is not None and not callable(value):
            raise TypeError("setup_fnc must be a callable or None")
        if self._serving:
            raise RuntimeError("setup_fnc cannot be set while the server runs")
        self._prewarm = value
        self._setup_fnc = JobPrewarm(self.settings.agent_name, value)

    @property
    def load_fnc(self) -> Callable[..., float] | None:
        """What is reported to LiveKit: from the slots taken, and not to be set."""
        return self._load_fnc

    @load_fnc.setter
    def load_fnc(self, value: Callable[..., float] | None) -> None:
        with self._told():
            options.accepted("LifespanServer", {"load_fnc": "None" if value is None else value})

    @contextmanager
    def _told(self) -> Iterator[None]:
        """A mistake in the user's module ends the program with its sentence; in a running server it only raises."""
        try:
            yield
        except OptionRefused as error:
            if self._serving:
                raise
            sys.exit(str(error))

    async def _connection_task(self) -> None:
        # LiveKit registers though no process is warm after `initialize_process_timeout`, and tries again for ever: the
        # calls that it is given then wait for nobody. So a worker registers, and is ready, once it has one.
        pool, warm = self._proc_pool, asyncio.Event()
        pool.on("process_ready", lambda _: warm.set())
        if self.settings.idle_processes and pool._warmed_proc_queue.empty():  # noqa: SLF001  # no other way to ask
            logger.error(
                "no job process was ready within %g s (initialize_process_timeout): prewarm, or what the agent "
                "imports, fails or takes longer. This worker registers once one is ready; "
                "LifespanServer(initialize_process_timeout=…) gives it more time",
                self._initialize_process_timeout,
            )
            await warm.wait()
        await super()._connection_task()
