"""What runs in a pod: a worker with its own clients, and a process with clients of its own for each job."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import simpy

from tests.model.servers import Client, Share, Store

Steps = Generator[simpy.Event, Any, None]


@dataclass(frozen=True)
class Template:
    """A pod template: the numbers a generation of workers is started with. Times in seconds."""

    slots: int
    job: Mapping[str, Share]
    """Datastore → what a job's client holds."""
    worker: Mapping[str, Share]
    """Datastore → what the worker lifespan's client holds, where it opens one."""
    pre_stop: float
    drain_timeout: float
    grace: float


@dataclass(frozen=True)
class Call:
    """One call, from the moment its job is accepted. Seconds."""

    starts: float
    """Until the job's process is initialised; it holds no connection yet."""
    lasts: float
    """From there to the end of its process."""
    uses: tuple[tuple[float, int], ...]
    """Seconds since it opened its clients, in order → operations at once."""


class Job:
    """A job's process."""

    def __init__(self, worker: Worker, call: Call) -> None:
        self._worker, self._call = worker, call
        self._clients = worker.clients(worker.template.job)
        self.process = worker.env.process(self._run())

    def _run(self) -> Steps:
        env, call = self._worker.env, self._call
        try:
            yield env.timeout(call.starts)
            opened = env.now
            self.use(1)
            for at, width in call.uses:
                yield env.timeout(opened + at - env.now)
                self.use(width)
            yield env.timeout(opened + call.lasts - env.now)
        except simpy.Interrupt:
            pass
        if not self._worker.vanished:
            self.close()
        self._worker.ended(self)

    def use(self, width: int) -> None:
        for client in self._clients:
            client.use(width)

    def close(self) -> None:
        for client in self._clients:
            client.close()


class Worker:
    """A worker's main process. It runs no more jobs than it has slots."""

    def __init__(
        self, env: simpy.Environment, stores: Mapping[str, Store], template: Template, machine: int
    ) -> None:
        self.env, self.template = env, template
        self._stores, self._machine = stores, machine
        self.jobs: dict[Job, None] = {}
        self.accepts = True
        self.vanished = False
        """Its machine is gone: nobody closes its connections, the servers do not know yet."""
        self.empty = env.event()
        self._clients = self.clients(template.worker)
        self.use()

    def clients(self, shares: Mapping[str, Share]) -> list[Client]:
        """New ones, in a process of this pod."""
        return [Client(self._stores[name], share, self._machine) for name, share in shares.items()]

    def use(self) -> None:
        """Use all of the worker lifespan's clients."""
        for client in self._clients:
            client.use(1_000_000)

    def offer(self, call: Call) -> bool:
        """True if the worker takes the call."""
        if not self.accepts or len(self.jobs) >= self.template.slots:
            return False
        self.jobs[Job(self, call)] = None
        return True

    def ended(self, job: Job) -> None:
        self.jobs.pop(job, None)
        if not self.jobs and not self.accepts and not self.empty.triggered:
            self.empty.succeed()

    def drain(self) -> None:
        """SIGTERM: no more jobs; `empty` comes with the last one's end."""
        self.accepts = False
        if not self.jobs and not self.empty.triggered:
            self.empty.succeed()

    def close(self) -> None:
        """The process ends, and with it every process of the pod; the kernel closes their sockets."""
        self.accepts = False
        for job in list(self.jobs):
            job.process.interrupt()
        if not self.vanished:
            for client in self._clients:
                client.close()

    def vanish(self, keepalive: float) -> None:
        """The machine loses its power; the servers' keepalive finds out after so many seconds."""
        clients = [*self._clients, *(client for job in self.jobs for client in job._clients)]
        self.vanished = True
        self.close()

        def find_out() -> Steps:
            yield self.env.timeout(keepalive)
            for client in clients:
                client.close()

        self.env.process(find_out())
