"""What a run sees: connections at the servers and the fleet's pods; a trace, a picture, and a row of the table."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from infra.kind.cluster import Cluster
from infra.kind.installed import NAMESPACE
from infra.local.caller import CallResult
from tests.cluster import timeline
from tests.cluster.counting import PORTS, Counting
from tests.cluster.install import Stack
from tests.cluster.load import dropped
from tests.cluster.pods import WORKERS
from tests.model.trace import Header, Mark, Recorder, read

EVERY_SECONDS = 0.5
OUTPUT = Path("build/e2e")


@dataclass
class Watch:
    """Records while a scenario runs; leaves trace and picture under build/e2e, and itself in `WATCHED`."""

    cluster: Cluster
    stack: Stack
    name: str
    callers: list[tuple[float, int]] = field(default_factory=list)
    """Seconds since the beginning, and how many talked."""
    results: list[CallResult] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        OUTPUT.mkdir(parents=True, exist_ok=True)
        self.path = OUTPUT / f"{self.name}.jsonl"
        self.recorder = Recorder(self.path, self._header())
        self._counting, self._stop, self._lock = Counting(self.cluster), threading.Event(), threading.Lock()
        self._began = time.monotonic()
        what = ("get", "pods", "--namespace", NAMESPACE, "--selector", WORKERS)
        self._watch = subprocess.Popen(
            self.cluster.kubectl_command(*what, "--watch", "--output-watch-events", "--output=json"),
            env=self.cluster.engine.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._threads = [threading.Thread(target=self._pods), threading.Thread(target=self._count)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._watch.terminate()
        self._watch.wait()
        for thread in self._threads:
            thread.join()
        assert self._watch.stdout is not None
        self._watch.stdout.close()
        self.recorder.close()
        self.took_seconds = time.monotonic() - self._began
        self.trace = read(self.path)
        timeline.draw(self, self.path.with_suffix(".png"))
        WATCHED.append(self)

    def mark(self, mark: Mark, **detail: Any) -> None:
        with self._lock:
            self.recorder.mark(mark, **detail)

    def calls(self, running: int) -> None:
        self.callers.append((time.monotonic() - self._began, running))

    def ended(self, results: Sequence[CallResult]) -> None:
        self.results += results

    def say(self, what: str) -> None:
        """For the table."""
        self.said.append(what)

    @property
    def lost(self) -> int:
        return len(dropped(self.results))

    def peak(self, datastore: str) -> int:
        return max((one.connections[datastore] for one in self.trace.samples), default=0)

    def budget(self, datastore: str) -> int:
        """The sum without the reserve: what everybody but operators may hold."""
        found = self.stack.solution.datastores[datastore]
        return found.limit - found.reserve

    def _header(self) -> Header:
        fleet = self.stack.solution.fleet
        quota = self.cluster.get("resourcequotas", "--namespace", NAMESPACE)["items"]
        version = json.loads(self.cluster.kubectl("version", "--output=json"))["serverVersion"]["gitVersion"]
        return Header(
            what=self.name,
            kubernetes=version,
            recorded=time.strftime("%Y-%m-%d"),
            replicas=fleet.max_replicas,
            surge=fleet.surge,
            quota_pods=int(quota[0]["spec"]["hard"]["pods"]) if quota else None,
            grace_seconds=self.stack.solution.time.termination_grace_period_seconds,
        )

    def _pods(self) -> None:
        assert self._watch.stdout is not None
        for line in self._watch.stdout:  # an event a line
            event = json.loads(line)
            with self._lock:
                self.recorder.pod(event["object"], deleted=event["type"] == "DELETED")

    def _count(self) -> None:
        while not self._stop.wait(EVERY_SECONDS):
            counts = self._counting.connections()
            with self._lock:
                self.recorder.connections(counts)


WATCHED: list[Watch] = []
"""What this run has seen, in its order."""


def within_budget(watch: Watch) -> None:
    for name in PORTS:
        assert 0 < watch.peak(name) <= watch.budget(name)
    assert watch.trace.peak <= watch.stack.solution.fleet.workers_at_peak
