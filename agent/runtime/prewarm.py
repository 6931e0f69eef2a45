"""What a job process does before its call comes: slow, synchronous, and without a connection.

Imports and model classes are done by then (the process imports the user's module); what is left is what drivers load on
first use: TLS contexts, lazily imported modules. No loop runs here, so nothing is opened.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import current_process
from multiprocessing.util import Finalize
from typing import Any

from livekit.agents import JobProcess
from livekit.agents.ipc.log_queue import LogQueueHandler

from agent.runtime import trace_export
from agent.runtime.warm_ups import warm_ups

logger = logging.getLogger("agent.runtime")


@dataclass(frozen=True)
class JobPrewarm:
    """LiveKit's `setup_fnc`: where spans go, the datastores' warm-ups, then the user's own prewarm."""

    service: str
    users: Callable[[JobProcess], Any] | None

    def __call__(self, process: JobProcess) -> None:
        _leave_signals_to_the_worker()
        Finalize(None, _end_log_threads, exitpriority=-1)  # the last: what closes before may log
        trace_export.install(self.service)  # before LiveKit begins the job's own span
        for warm_up in warm_ups:
            try:
                warm_up()
            except Exception as error:
                # LiveKit restarts a process whose prewarm fails every 0.1 s, for ever; the job itself will say it.
                logger.debug("a warm-up failed, so the call opens cold: %s", error)
        if self.users is not None:
            self.users(process)


def _leave_signals_to_the_worker() -> None:
    """A supervisor that signals every process (systemd does) must not cut calls off that the worker is draining.

    LiveKit means to ignore both, but at the import of a module that the fork server imported before (measured).
    """
    if current_process().name == "job_proc":
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)


def _end_log_threads() -> None:
    """End the thread that carries log records to the worker, however the process ends.

    It is no daemon, and LiveKit ends it only where its main function returns: a process that answers a ping of a worker
    that was killed gets a broken pipe there instead, and waited for this thread for ever.
    """
    for handler in logging.getLogger().handlers:
        if isinstance(handler, LogQueueHandler):
            handler.close()
