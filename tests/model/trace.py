"""Pod traces: what a real cluster did with a fleet's pods, as JSON lines that the fleet model is held against.

The first line says what was deployed, every other line is one thing that happened. `at` is seconds since the recording
began (as its watcher saw it), in order.

    {"format": "pod-trace/1", "what": "fast rollout of 4, surge 2", "kubernetes": "v1.34.4", "recorded": "2026-11-25",
     "replicas": 4, "surge": 2, "quota_pods": 8, "grace_seconds": 60}
    {"at": 0.0, "mark": "rollout"}
    {"at": 0.4, "pod": "agent-6f-x1", "generation": "6f", "node": "kind-worker", "phase": "pending"}
    {"at": 1.5, "connections": {"mongodb": 42, "redis": 21}}

Phases, each pod's in this order, where a fast pod may skip some: `pending` (the object exists, no container runs),
`starting` (a container runs, not ready), `ready`, `terminating` (deleted, still there: it may hold connections),
`gone`. Marks are what the experimenter did: `rollout`, `scale` (with `replicas`), `kill` (with `what`),
`partition` (with `pod`), `drain` and `node-lost` (with `node`), `healed`.
`quota_pods` is null where no quota held. `connections` are counted at the servers, and may be left out.

    recorder = Recorder(path, Header(what=…, replicas=4, …))
    for event in watch:  # each ADDED, MODIFIED, DELETED of the fleet's pods
        recorder.pod(event["object"], deleted=event["type"] == "DELETED")
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

Phase = Literal["pending", "starting", "ready", "terminating", "gone"]
Mark = Literal["rollout", "scale", "kill", "drain", "node-lost", "partition", "healed"]
PHASES: tuple[Phase, ...] = get_args(Phase)
MARKS: tuple[Mark, ...] = get_args(Mark)
FORMAT = "pod-trace/1"


@dataclass(frozen=True)
class Header:
    """What was deployed when the recording began."""

    what: str
    kubernetes: str
    recorded: str
    """The day, YYYY-MM-DD."""
    replicas: int
    surge: int
    quota_pods: int | None
    grace_seconds: int


@dataclass(frozen=True)
class PodEvent:
    """A pod entered a phase."""

    at: float
    pod: str
    generation: str
    """Which rollout made it: its pod-template-hash."""
    node: str
    """Empty while it is not scheduled."""
    phase: Phase


@dataclass(frozen=True)
class MarkEvent:
    """The experimenter did something; `detail` holds the mark's own keys."""

    at: float
    mark: Mark
    detail: Mapping[str, Any]


@dataclass(frozen=True)
class Sample:
    """Open connections, counted at the servers."""

    at: float
    connections: Mapping[str, int]


@dataclass(frozen=True)
class Trace:
    """One recording."""

    header: Header
    pods: tuple[PodEvent, ...]
    marks: tuple[MarkEvent, ...]
    samples: tuple[Sample, ...]

    def by_phase(self) -> Iterator[tuple[float, Counter[Phase]]]:
        """How many pods are in which phase (`gone` left out), after each change."""
        now: dict[str, Phase] = {}
        for event in self.pods:
            now[event.pod] = event.phase
            yield event.at, Counter(phase for phase in now.values() if phase != "gone")

    @property
    def peak(self) -> int:
        """The most pods that existed at once, terminating ones included."""
        return max((counts.total() for _, counts in self.by_phase()), default=0)


def read(path: Path) -> Trace:
    """Reads a trace.

    Raises:
        ValueError: naming file and line, where a line is not of this format, out of order, or a pod went backwards.
    """
    header, *rest = _lines(path)
    number, first = header
    if first.pop("format", None) != FORMAT:
        raise ValueError(f'{path}:{number}: accepted: a first line with "format": "{FORMAT}"')
    pods: list[PodEvent] = []
    marks: list[MarkEvent] = []
    samples: list[Sample] = []
    last: dict[str, int] = {}
    before = 0.0
    for number, line in rest:
        where = f"{path}:{number}"
        at = float(line.pop("at", -1))
        if at < before:
            raise ValueError(f"{where}: at {at:g} after {before:g}; accepted: seconds, in order")
        before = at
        match line:
            case {"pod": str(pod), "phase": phase}:
                step = _one_of(PHASES, phase, where)
                if step <= last.get(pod, -1):
                    raise ValueError(f"{where}: {pod} is {phase} after {PHASES[last[pod]]}")
                last[pod] = step
                pods.append(PodEvent(at, **line))
            case {"mark": mark, **detail}:
                _one_of(MARKS, mark, where)
                marks.append(MarkEvent(at, mark, detail))
            case {"connections": connections}:
                samples.append(Sample(at, connections))
            case _:
                raise ValueError(f"{where}: accepted: a line with pod, mark or connections")
    return Trace(Header(**first), tuple(pods), tuple(marks), tuple(samples))


def _lines(path: Path) -> list[tuple[int, dict[str, Any]]]:
    text = path.read_text(encoding="utf-8").splitlines()
    found = [(number, json.loads(line)) for number, line in enumerate(text, 1) if line.strip()]
    if not found:
        raise ValueError(f"{path}: is empty; accepted: a pod trace")
    return found


def _one_of(known: tuple[str, ...], value: object, where: str) -> int:
    if value not in known:
        raise ValueError(f"{where}: got {value!r}; accepted: {', '.join(known)}")
    return known.index(str(value))


class Recorder:
    """Writes a trace while it happens; each line is flushed, so that a run that is cut short keeps what it saw."""

    def __init__(self, path: Path, header: Header) -> None:
        self._file = path.open("w", encoding="utf-8")
        self._started = time.monotonic()
        self._phases: dict[str, Phase] = {}
        self._write({"format": FORMAT} | asdict(header))

    def pod(self, pod: Mapping[str, Any], *, deleted: bool = False) -> None:
        """Note a pod object as the API server's watch gives it; nothing is written while its phase stays the same."""
        name, phase = pod["metadata"]["name"], "gone" if deleted else phase_of(pod)
        if PHASES.index(phase) <= PHASES.index(self._phases.get(name, "pending")) and name in self._phases:
            return  # a ready pod whose probe failed is a starting one again; it never held fewer connections
        self._phases[name] = phase
        labels = pod["metadata"].get("labels", {})
        self._note(
            pod=name,
            generation=labels.get("pod-template-hash", ""),
            node=pod["spec"].get("nodeName", ""),
            phase=phase,
        )

    def mark(self, mark: Mark, **detail: Any) -> None:
        """Note what the experimenter does now."""
        self._note(mark=mark, **detail)

    def connections(self, counts: Mapping[str, int]) -> None:
        """Note what was counted at the servers."""
        self._note(connections=dict(counts))

    def close(self) -> None:
        self._file.close()

    def _note(self, **line: Any) -> None:
        self._write({"at": round(time.monotonic() - self._started, 2)} | line)

    def _write(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


def phase_of(pod: Mapping[str, Any]) -> Phase:
    """The phase of a pod object of the Kubernetes API that still exists; a Failed or Succeeded one holds nothing."""
    status = pod.get("status", {})
    if status.get("phase") in ("Failed", "Succeeded"):
        return "gone"
    if pod["metadata"].get("deletionTimestamp"):
        return "terminating"
    conditions = {one["type"]: one["status"] for one in status.get("conditions", ())}
    if conditions.get("Ready") == "True":
        return "ready"
    return "starting" if status.get("phase") == "Running" else "pending"
