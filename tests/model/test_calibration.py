"""The fleet model does what a real cluster was seen to do: the rollouts recorded by tests/cluster, replayed."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.budget import solve
from infra.config import apply_overrides, load_config
from infra.config.schema import StackConfig
from tests.cluster import stacks
from tests.model.fleet import Fleet, Pace
from tests.model.kubernetes import Pod
from tests.model.trace import Phase, Trace, read
from tests.model.worker import Call, Steps

ROOT = Path(__file__).parents[2]
KIND = load_config(ROOT / "infra" / "Pulumi.kind.yaml")
ROLLED = {
    "rolling-fast": apply_overrides(KIND, stacks.FAST),
    "rolling-strict": apply_overrides(KIND, stacks.STRICT),
}
# Of controllers and kubelets of kind on two cores: in the traces, from a pod's readiness to the next deletion.
LATENCY_SECONDS = 0.3
LOOK_SECONDS = 0.1
# Of a rollout of a minute, on a machine that is busy with everything else.
TOLERANCE_SECONDS = 5.0
# A container's start is part of the pod's; when a drained pod goes is up to its calls.
COMPARED: tuple[Phase, ...] = ("pending", "ready", "terminating")


@dataclass(frozen=True)
class Event:
    """A pod entered a phase; generation 0 was there before the first rollout."""

    at: float
    pod: str
    generation: int
    phase: Phase


@pytest.mark.parametrize("name", ROLLED)
def test_the_model_rolls_as_the_cluster_did(name: str) -> None:
    """Pods come, get ready and are told to go in the same order, in the same time, and as many at most."""
    trace = read(ROOT / "tests" / "cluster" / "seen" / f"{name}.jsonl")
    seen = recorded(trace)
    modelled = replayed(seen, ROLLED[name])
    assert steps(modelled) == steps(seen)
    assert seconds(modelled) == pytest.approx(seconds(seen), abs=TOLERANCE_SECONDS)
    assert most(modelled) == trace.peak


def recorded(trace: Trace) -> list[Event]:
    """From the first rollout on; what an earlier scenario had left to drain is gone by then."""
    began = trace.marks[0].at
    there = {event.generation for event in trace.pods if event.at < began}
    later = [event for event in trace.pods if event.at >= began]
    number = dict.fromkeys(there, 0)
    for event in later:
        number.setdefault(event.generation, 1 + len(set(number) - there))
    return [Event(event.at, event.pod, number[event.generation], event.phase) for event in later]


def replayed(seen: list[Event], config: StackConfig) -> list[Event]:
    """The same stack in the model, every slot taken, rolled when it was rolled; pods take as long to start."""
    starts = iter([ready_after(seen, event) for event in seen if event.phase == "pending"])
    pace = Pace(LATENCY_SECONDS, start=lambda: next(starts) if rolled else 0.0)
    fleet = Fleet(config, solve(config), pace, random.Random(0))
    events: list[Event] = []
    rolled: list[int] = []
    cluster, env = fleet.cluster, fleet.env
    call = Call(0.0, fleet.longest_job, ())

    def look() -> Steps:
        phases: dict[Pod, Phase] = {}
        generations = [id(first)]  # templates of the same stack are equal
        while True:
            for pod in [*phases, *(pod for pod in cluster.pods if pod not in phases)]:
                if (made_from := id(pod.template)) not in generations:
                    generations.append(made_from)
                if (phase := phase_of(pod)) != phases.get(pod):
                    phases[pod] = phase
                    events.append(Event(env.now, f"{id(pod)}", generations.index(made_from), phase))
            yield env.timeout(LOOK_SECONDS)

    first = fleet.template()
    cluster.roll_out(first)
    cluster.scale(solve(config).fleet.max_replicas)
    env.run(until=60)
    env.process(look())
    env.run(until=61)
    before = len(events)
    times = rollouts(seen)
    for number, at in enumerate(times):
        fleet.fill(call)
        rolled.append(number)
        cluster.roll_out(fleet.template())
        following = times[number + 1] if number + 1 < len(times) else seen[-1].at
        env.run(until=env.now + following - at)
    return events[before:]


def phase_of(pod: Pod) -> Phase:
    if pod.gone:
        return "gone"
    if pod.terminating:
        return "terminating"
    return "ready" if pod.ready else "pending"


def rollouts(events: list[Event]) -> list[float]:
    """When the first pod of each generation but the one that was there was made."""
    pending = [event for event in events if event.phase == "pending"]
    return [
        min(event.at for event in pending if event.generation == generation)
        for generation in sorted({event.generation for event in pending})
    ]


def ready_after(events: list[Event], made: Event) -> float:
    return next(event.at for event in events if event.pod == made.pod and event.phase == "ready") - made.at


def steps(events: Iterable[Event]) -> list[tuple[int, Phase]]:
    return [(event.generation, event.phase) for event in events if event.phase in COMPARED]


def seconds(events: list[Event]) -> list[float]:
    """Of each rollout: from its first pod's creation until its last was ready."""
    ready = [event for event in events if event.phase == "ready"]
    return [
        max(event.at for event in ready if event.generation == number) - began
        for number, began in enumerate(rollouts(events), 1)
    ]


def most(events: list[Event]) -> int:
    """The most pods at once, those that were there before included."""
    now = {event.pod for event in events} - {event.pod for event in events if event.phase == "pending"}
    peak = len(now)
    for event in events:
        if event.phase == "pending":
            now.add(event.pod)
        if event.phase == "gone":
            now.discard(event.pod)
        peak = max(peak, len(now))
    return peak
