"""What a run sees: connections in the servers' network namespaces and the fleet's pods; a trace, a table, a picture."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import matplotlib as mpl
import psutil
from matplotlib.figure import Figure

from infra.kind.cluster import Cluster
from infra.kind.install import NAMESPACE, Stack
from tests.model.trace import Header, Phase, Recorder, Trace, read

EVERY_SECONDS = 0.5
# Of /proc/<pid>/net/tcp: established, and closed by the client but not yet by the server.
HELD = ("01", "08")
PORTS = {"mongodb": 27017, "redis": 6379}
PROGRAMS = {"mongodb": "ferretdb", "redis": "valkey-server"}
OUTPUT = Path("build/e2e")


class Counting:
    """Counts a server's connections in the network namespace of its pod, seen from this machine's /proc."""

    def __init__(self, cluster: Cluster) -> None:
        ids = [
            cluster.engine.docker("inspect", "--format", "{{.Id}}", node).strip()
            for node in (cluster.control_plane, *cluster.workers)
        ]
        self._ids, self._pids = ids, dict.fromkeys(PORTS, 0)

    def connections(self) -> dict[str, int]:
        return {name: self._of(name) for name in PORTS}

    def _of(self, name: str) -> int:
        count = 0
        try:
            for family in ("tcp", "tcp6"):
                for line in Path(f"/proc/{self._pids[name]}/net/{family}").read_text().splitlines()[1:]:
                    local, _, state = line.split()[1:4]
                    count += int(local.rsplit(":", 1)[1], 16) == PORTS[name] and state in HELD
        except OSError:  # the pod was replaced
            self._pids[name] = self._find(PROGRAMS[name])
        return count

    def _find(self, program: str) -> int:
        for process in psutil.process_iter(["name"]):
            try:
                if process.info["name"] != program:
                    continue
                groups = Path(f"/proc/{process.pid}/cgroup").read_text()
            except (psutil.Error, OSError):
                continue
            if any(one in groups for one in self._ids):
                return process.pid
        return 0


@dataclass
class Watch:
    """Records while a scenario runs; `write` leaves trace, table and picture under build/e2e."""

    cluster: Cluster
    stack: Stack
    name: str
    callers: list[tuple[float, int]] = field(default_factory=list)

    def __enter__(self) -> Self:
        OUTPUT.mkdir(parents=True, exist_ok=True)
        self.path = OUTPUT / f"{self.name}.jsonl"
        fleet = self.stack.solution.fleet
        quota = self.cluster.get("resourcequotas", "--namespace", NAMESPACE)["items"]
        self.recorder = Recorder(
            self.path,
            Header(
                what=self.name,
                kubernetes="v1.34.4",
                recorded=time.strftime("%Y-%m-%d"),
                replicas=fleet.max_replicas,
                surge=self.stack.solution.fleet.surge,
                quota_pods=int(quota[0]["spec"]["hard"]["pods"]) if quota else None,
                grace_seconds=self.stack.solution.time.termination_grace_period_seconds,
            ),
        )
        self._counting, self._stop, self._lock = Counting(self.cluster), threading.Event(), threading.Lock()
        self._began = time.monotonic()
        selector = "app.kubernetes.io/name=agent-worker,app.kubernetes.io/component=worker"
        self._watch = subprocess.Popen(
            self.cluster.kubectl_command(
                "get", "pods", "--namespace", NAMESPACE, "--selector", selector,
                "--watch", "--output-watch-events", "--output=json",
            ),
            env=self.cluster.engine.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
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
        self.trace = read(self.path)
        self._table()
        self._draw(self.trace)

    def mark(self, mark: Any, **detail: Any) -> None:
        with self._lock:
            self.recorder.mark(mark, **detail)

    def calls(self, running: int) -> None:
        self.callers.append((time.monotonic() - self._began, running))

    def peak(self, datastore: str) -> int:
        return max((one.connections[datastore] for one in self.trace.samples), default=0)

    def budget(self, datastore: str) -> int:
        """The sum without the reserve: what everybody but operators may hold."""
        found = self.stack.solution.datastores[datastore]
        return found.limit - found.reserve

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

    def _table(self) -> None:
        rows = [f"{name}: peak {self.peak(name)} of {self.budget(name)} connections" for name in PORTS]
        fleet = self.stack.solution.fleet
        rows.append(
            f"pods: peak {self.trace.peak} of {fleet.workers_at_peak}; quota {self.trace.header.quota_pods}"
        )
        text = "\n".join([self.name, *(f"  {row}" for row in rows)])
        (OUTPUT / f"{self.name}.txt").write_text(text + "\n")
        print(text)

    def _draw(self, trace: Trace) -> None:
        with mpl.rc_context({"font.size": 9}):
            figure = Figure(figsize=(10, 8), dpi=120, layout="constrained")
            panels = figure.subplots(len(PORTS) + 2, 1, sharex=True)
            for axes, name in zip(panels, PORTS, strict=False):
                times = [one.at for one in trace.samples]
                axes.step(times, [one.connections[name] for one in trace.samples], where="post")
                axes.axhline(self.budget(name), color="#c81e1e", linestyle="--")
                axes.set_title(
                    f"{name}: at most {self.peak(name)} connections, budget {self.budget(name)}", loc="left"
                )
            phases: tuple[Phase, ...] = ("pending", "starting", "ready", "terminating")
            counts: list[tuple[float, Counter[Phase]]] = list(trace.by_phase())
            series = [[count[phase] for _, count in counts] for phase in phases]
            panels[-2].stackplot([at for at, _ in counts], *series, step="post", labels=phases)
            panels[-2].axhline(self.stack.solution.fleet.workers_at_peak, color="#c81e1e", linestyle="--")
            panels[-2].legend(loc="upper left", fontsize=7)
            panels[-2].set_title(f"pods: at most {trace.peak}", loc="left")
            panels[-1].step([at for at, _ in self.callers], [n for _, n in self.callers], where="post")
            panels[-1].set_title("calls", loc="left")
            panels[-1].set_xlabel("seconds")
            for event in trace.marks:
                for axes in panels:
                    axes.axvline(event.at, color="black", alpha=0.4)
            figure.suptitle(self.name, x=0.01, ha="left")
            figure.savefig(OUTPUT / f"{self.name}.png")
