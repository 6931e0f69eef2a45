"""The worker's main process publishes its own gauges and removes those of jobs that died, once a second."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from typing import Literal

import psutil

from agent.runtime import metrics, spool_files
from agent.runtime.datastores.base import publish
from agent.runtime.scope import Scope
from agent.runtime.settings import WorkerSettings, connection_budgets
from agent.runtime.slots import SlotDirectory

logger = logging.getLogger("agent.runtime")

INTERVAL_SECONDS = 1.0
# Longer than a job takes from its slot to its gauges, and from its last gauge to its process's end, on busy cores too.
CLOSED_SECONDS = 1.0
WorkerState = Literal["starting", "serving", "draining"]
STATES: tuple[WorkerState, ...] = ("starting", "serving", "draining")


class Sweeper:
    """Truth within `INTERVAL_SECONDS` of a death, at a cost that depends on the number of slots alone."""

    def __init__(
        self,
        settings: WorkerSettings,
        scope: Scope,
        state: Callable[[], WorkerState],
    ) -> None:
        self._settings = settings
        self._scope = scope
        self._state = state
        self._slots = SlotDirectory(settings.slot_directory, settings.slots)
        self._entered: WorkerState = "starting"
        self._closed: dict[str, float] = {}
        """Slots that are taken without a gauge, since when."""

    async def run(self) -> None:
        """Until cancelled."""
        metrics.own(f"worker-{os.getpid()}")
        self._publish_budget()
        try:
            while True:
                try:
                    self.sweep()
                except Exception:
                    logger.exception("a sweep of the gauges failed; the next one follows")
                await asyncio.sleep(INTERVAL_SECONDS)
        finally:
            self._slots.close()

    def sweep(self) -> None:
        self._remove_dead()
        self._count_closed()
        metrics.remove_unowned(self._settings.metrics_directory)
        current = self._state()
        for state in STATES:
            metrics.WORKER_STATE.labels(state).set(state == current)
        if current != self._entered:
            metrics.WORKER_STATE_START.labels(current).set(time.time())
            self._entered = current
        for datastore in list(self._scope.datastores.values()):
            publish(datastore)

    def _remove_dead(self) -> None:
        directory = self._settings.metrics_directory
        live = metrics.live_identities(directory)
        for slot in self._slots.files:
            # A living owner keeps its lock, so trying does not disturb it; a free slot without gauges is not tried,
            # so that a job which asks for it in this instant finds it free.
            if slot.name in live and not slot.owned_here and slot.try_lock():
                try:
                    if slot.name in metrics.live_identities(directory):
                        metrics.forget(slot.name)
                        metrics.JOBS.labels("killed", metrics.Ended.DIED).inc()
                        logger.warning("a job died without closing", extra={"slot": slot.name})
                finally:
                    slot.unlock()

    def _count_closed(self) -> None:
        """A job that has closed drops its own 1; its slot is taken until its process ends, which a thread of the user's
        may put off. Until then it is running, for whoever asks why calls are refused."""
        taken = {slot.name for slot in self._slots.files if slot.taken}
        # Looked at afterwards: a job that begins in between is no closed one.
        closed = taken - metrics.live_identities(self._settings.metrics_directory)
        now = time.monotonic()
        self._closed = {name: self._closed.get(name, now) for name in closed}
        # One that has just taken its slot has no 1 of its own yet, and would soon be counted twice.
        lasting = sum(now - since >= CLOSED_SECONDS for since in self._closed.values())
        metrics.JOBS_RUNNING.labels(self._settings.agent_name).set(lasting)

    def _publish_budget(self) -> None:
        metrics.WORKER_STATE_START.labels("starting").set(psutil.Process().create_time())
        metrics.JOB_SLOTS.labels(self._settings.agent_name).set(self._settings.slots)
        metrics.JOBS_RUNNING.labels(self._settings.agent_name).set(0)  # each job adds its own 1
        for datastore, connections in connection_budgets().items():
            metrics.CONNECTIONS_BUDGET.labels(datastore).set(connections)
            # There from the beginning, at 0: no rate shows the first failure of a counter that appears with it.
            metrics.OPEN_FAILURES.labels(datastore)
            metrics.CLOSE_FAILURES.labels(datastore)
        for result in ("accepted", "rejected"):
            metrics.JOB_REQUESTS.labels(result)
        for how in metrics.Ended:
            for outcome in ("killed",) if how is metrics.Ended.DIED else ("completed", "failed"):
                metrics.JOBS.labels(outcome, how)
        spool = spool_files.identity(self._settings.spool_directory)
        metrics.SPOOLED.labels("mongodb", spool).set(0)
        metrics.SPOOL_REFUSED.labels("mongodb", spool).set(0)
