"""Admission: a worker runs at most `slots` jobs and never turns a call away below them.

LiveKit's load threshold is no cap: with no active job, a burst is accepted up to the number of idle processes times
over (measured, FACTS.md section 1). So the threshold is put out of the way and the cap stands in `on_request` alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from livekit.agents import JobRequest

from agent.runtime import metrics

# livekit-server stops asking a worker that reported 0.7 or more (agents.target_load), and a report is up to 2.5 s old:
# calls would be lost while slots are free again (measured: 4 of 4). So a full worker stays below and refuses itself.
FULL_LOAD = 0.69

RequestHook = Callable[[JobRequest], Awaitable[None]]


class Capacity:
    """Counts jobs by id: those with a process, and those accepted but not yet launched.

    Runs in the worker's main loop; there is no await between the check and the reservation.
    """

    def __init__(self, slots: int, active_job_ids: Callable[[], Collection[str]]) -> None:
        self._slots = slots
        self._active_job_ids = active_job_ids
        self._pending: set[str] = set()

    @property
    def taken(self) -> int:
        """Jobs that hold a slot or are about to."""
        return len(self._pending.union(self._active_job_ids()))

    def is_starting(self, job_id: str) -> bool:
        """Accepted, and not yet handed to a process."""
        return job_id in self._pending

    async def admit(self, request: JobRequest, decide: RequestHook | None = None) -> None:
        """Answer a job request: refused when every slot is taken, else `decide(request)`, which by default accepts.

        A refusal leaves the job to other workers (`terminate=False`; LiveKit's default would end it).
        """
        if self.taken >= self._slots:
            metrics.JOB_REQUESTS.labels("rejected").inc()
            await request.reject(terminate=False)
            return
        self._pending.add(request.id)
        try:
            await (decide(request) if decide else request.accept())
        finally:
            self._pending.discard(request.id)
            # An accepted job is active when accept() returns; the user's hook may have refused it, or failed.
            accepted = request.id in self._active_job_ids()
            metrics.JOB_REQUESTS.labels("accepted" if accepted else "rejected").inc()

    def load(self) -> float:
        """What is reported to livekit-server for its choice of worker: 0 (idle) to 0.69 (full)."""
        return FULL_LOAD * (min(self.taken, self._slots) / self._slots)
