"""Connections and slots as the kernel counts them: what gauges are checked against.

A socket counts while the server holds it: established, or closed by the client and not yet by the server. A slot
counts while a living process holds the lock of its file.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from infra.local import slot_locks
from infra.local.processes import children, sockets

INTERVAL_SECONDS = 0.25
HELD = frozenset({psutil.CONN_ESTABLISHED, psutil.CONN_CLOSE_WAIT})


@dataclass(frozen=True)
class Endpoint:
    """A server process and the port it serves, or the ports: a client of Weaviate holds connections to two."""

    pid: int
    port: int
    also: tuple[int, ...] = ()
    forks: bool = False
    """Its children hold its connections."""


def connections(endpoint: Endpoint) -> int:
    """Sockets of this process on its own port with a client at the other end; 0 when the process has ended."""
    ports = {endpoint.port, *endpoint.also}
    pids = (
        [endpoint.pid, *(child.pid for child in children(endpoint.pid))] if endpoint.forks else [endpoint.pid]
    )
    held = [s for pid in pids for s in sockets(pid) if s.status in HELD and s.local_port in ports]
    # A child and its parent have one for a moment both.
    return len({(s.local_port, s.remote_port) for s in held}) if endpoint.forks else len(held)


@dataclass(frozen=True)
class Sample:
    """One moment; `at` is time.monotonic()."""

    at: float
    connections: dict[str, int]
    """Per datastore."""
    slots: dict[str, int]
    """Owned by living jobs, per worker."""


class KernelSampler:
    """Counts on a thread of its own, so that a busy event loop does not hide a peak."""

    def __init__(self, endpoints: Mapping[str, Endpoint]) -> None:
        self.endpoints = dict(endpoints)
        self.slot_directories: dict[str, Path] = {}
        self.samples: list[Sample] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kernel-sampler", daemon=True)

    def __enter__(self) -> Self:
        self.sample()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def sample(self) -> Sample:
        """Count now."""
        sample = Sample(
            at=time.monotonic(),
            connections={name: connections(endpoint) for name, endpoint in self.endpoints.items()},
            slots={name: len(slot_locks.owners(path)) for name, path in self.slot_directories.copy().items()},
        )
        self.samples.append(sample)
        return sample

    @property
    def latest(self) -> Sample:
        return self.samples[-1]

    def peak(self, datastore: str) -> int:
        """The most connections seen at one moment. Shorter bursts than `INTERVAL_SECONDS` can be missed."""
        return max(sample.connections[datastore] for sample in self.samples)

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL_SECONDS):
            # A process or a file that goes while it is looked at; the next sample sees it gone.
            with contextlib.suppress(psutil.Error, OSError):
                self.sample()
