"""As much of Kubernetes as decides how many pods there are: Deployment, ReplicaSets, quota, kubelet, lost machines.

Read in Kubernetes 1.34: pkg/controller/deployment/rolling.go (maxUnavailable 0), pkg/controller/replicaset,
pkg/quota/v1/evaluator/core/pods.go (QuotaV1Pod). Left out: proportional scaling in mid-rollout, slow-start batches,
scheduling (any machine that has room).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import simpy

from tests.model.servers import Store
from tests.model.worker import Steps, Template, Worker

# The taint manager deletes the pods of a machine that has been silent for 40 s + 300 s (the defaults).
NOT_READY_SECONDS = 40.0
TOLERATION_SECONDS = 300.0
# A refused ReplicaSet is retried after 5 ms, 10 ms, … 1000 s (client-go's default rate limiter).
FIRST_RETRY_SECONDS = 0.005
LAST_RETRY_SECONDS = 1000.0
CRASH_BACK_OFF_SECONDS = 10.0


class Pod:
    """A pod object and, while its container runs, the worker in it."""

    def __init__(self, cluster: Cluster, template: Template, machine: int, start: float) -> None:
        self.cluster, self.template, self.machine = cluster, template, machine
        self.worker: Worker | None = None
        self.ready = False
        self.gone = False
        self.lost = False
        """Its machine is cut off: the kubelet does not hear of a deletion, the API server not of the pod."""
        self.deleted_at: float | None = None
        self._stop = cluster.env.event()
        self._crash = cluster.env.event()
        self._cut_off = cluster.env.event()
        cluster.env.process(self._kubelet(start))

    @property
    def terminating(self) -> bool:
        return self.deleted_at is not None

    @property
    def charged(self) -> bool:
        """Whether the quota counts it: until it is gone, or stuck for a grace period past its deletion's time.

        The deletion's time stamp already lies a grace period after the request.
        """
        if self.gone:
            return False
        return self.deleted_at is None or self.cluster.env.now <= self.deleted_at + 2 * self.template.grace

    def delete(self) -> None:
        """Kubernetes accepts the deletion; the kubelet hears of it where it can."""
        if self.gone or self.terminating:
            return
        self.deleted_at = self.cluster.env.now
        self.ready = False
        if not self.lost:
            self._stop.succeed()
        self.cluster.kick()

    def crash(self) -> None:
        """The container's first process dies by itself; the kubelet starts it again in the same pod."""
        if self.worker is not None and not self.lost and not self._crash.triggered:
            self._crash.succeed()

    def lose(self, *, power: bool, keepalive: float) -> None:
        """Its machine is cut off from everything (`power`), or from the API server alone."""
        if self.gone or self.lost:
            return
        self.lost = True
        if power:
            if self.worker is not None:
                self.worker.vanish(keepalive)
            self._cut_off.succeed()
        self.cluster.env.process(self._not_heard_of())

    def find(self) -> None:
        """The machine is back in touch: the kubelet hears of a deletion that came meanwhile."""
        self.lost = False
        if self.terminating and not self._stop.triggered:
            self._stop.succeed()
        elif self.worker is not None and not self.terminating:
            self.ready = True
        self.cluster.kick()

    def force(self) -> None:
        """The object is removed whatever runs: the machine's own object was deleted (pod garbage collector)."""
        self.deleted_at = self.cluster.env.now
        self._is_gone()

    def _not_heard_of(self) -> Steps:
        yield self.cluster.env.timeout(NOT_READY_SECONDS)
        if self.lost:
            self.ready = False
            self.cluster.kick()
        yield self.cluster.env.timeout(TOLERATION_SECONDS)
        if self.lost:
            self.delete()

    def _kubelet(self, start: float) -> Steps:
        env = self.cluster.env
        yield env.timeout(start) | self._stop | self._cut_off
        while not self._told_to_stop():
            self.worker = worker = Worker(env, self.cluster.stores, self.template, self.machine)
            self.ready = not self.lost and not self.terminating
            self._crash = env.event()
            self.cluster.kick()
            yield self._stop | self._crash | self._cut_off
            if not self._told_to_stop():
                self.ready = False
                self.worker = None
                worker.close()
                yield env.timeout(CRASH_BACK_OFF_SECONDS + start) | self._stop | self._cut_off
        if self.worker is not None:
            yield from self._terminate(self.worker)
        self.ready = False
        if not self._cut_off.triggered:  # else the object stays, until somebody removes it
            self._is_gone()

    def _told_to_stop(self) -> bool:
        return self._stop.triggered or self._cut_off.triggered

    def _terminate(self, worker: Worker) -> Steps:
        """preStop, during which calls may still come; SIGTERM; SIGKILL at the grace period's end."""
        env, template = self.cluster.env, self.template
        killed = env.timeout(template.grace)
        yield env.timeout(template.pre_stop) | self._cut_off
        worker.drain()
        yield worker.empty | env.timeout(template.drain_timeout) | self._cut_off
        # LiveKit asks what is left to end, and what does not is killed: in both cases a call was cut short.
        self.cluster.cut_short += len(worker.jobs)
        yield worker.empty | killed | self._cut_off
        if not self._cut_off.triggered:
            worker.close()

    def _is_gone(self) -> None:
        if not self.gone:
            self.gone = True
            self.ready = False
            self.cluster.pods.pop(self, None)
            self.cluster.kick()


class ReplicaSet:
    """One generation: keeps as many pods as it was told, where the quota lets it."""

    def __init__(self, cluster: Cluster, template: Template) -> None:
        self.cluster, self.template = cluster, template
        self.replicas = 0
        self.pods: list[Pod] = []
        self._retry = FIRST_RETRY_SECONDS
        self._retry_at = 0.0

    def active(self) -> list[Pod]:
        self.pods = [pod for pod in self.pods if not pod.gone]
        return [pod for pod in self.pods if not pod.terminating]

    @property
    def available(self) -> int:
        return sum(pod.ready for pod in self.active())

    def sync(self) -> None:
        active = self.active()
        # Pods that are not ready go first, then those of the newest.
        newest_first = active[::-1]
        newest_first.sort(key=lambda pod: pod.ready)
        for pod in newest_first[: max(len(active) - self.replicas, 0)]:
            pod.delete()
        if self.cluster.env.now < self._retry_at:
            return
        for _ in range(self.replicas - len(active)):
            admitted = self.cluster.admit(self.template)
            if admitted is None:
                self._retry_at = self.cluster.env.now + self._retry
                self.cluster.kick(self._retry)
                self._retry = min(self._retry * 2, LAST_RETRY_SECONDS)
                return
            self.pods.append(admitted)
            self._retry = FIRST_RETRY_SECONDS


class Cluster:
    """One Deployment with rolling updates, its quota, and the machines it runs on."""

    def __init__(
        self,
        env: simpy.Environment,
        stores: Mapping[str, Store],
        *,
        surge: int,
        quota: int,
        machines: int,
        room: int | None = None,
        start_seconds: Callable[[], float],
        latency: float,
        chance: random.Random,
    ) -> None:
        self.env, self.stores = env, stores
        self.surge, self.quota, self.machines = surge, quota, machines
        self._room = room
        self.replicas = 0
        self.pods: dict[Pod, None] = {}  # in the order of their making, so that a seed repeats a run
        self.most_pods = 0
        self.refused = 0
        """How often the quota kept a pod out."""
        self.cut_short = 0
        """Jobs that still ran when their worker's drain was over."""
        self._start_seconds, self._latency, self._chance = start_seconds, latency, chance
        self._generations: list[ReplicaSet] = []
        self._kicks: set[float] = set()

    def kick(self, after: float = 0.0) -> None:
        """Have the controllers look again, `after` seconds and their own latency from now."""
        due = self.env.now + after + self._latency
        if due in self._kicks:
            return
        self._kicks.add(due)

        def look() -> Steps:
            yield self.env.timeout(max(due - self.env.now, 0.0))
            self._kicks.discard(due)
            self._reconcile()

        self.env.process(look())

    def roll_out(self, template: Template) -> None:
        """Change the pod template."""
        self._generations.append(ReplicaSet(self, template))
        self.kick()

    def scale(self, replicas: int) -> None:
        self.replicas = replicas
        self.kick()

    def admit(self, template: Template) -> Pod | None:
        """Create a pod, unless the quota is full or, which comes to the same connections, no machine has room."""
        machines = self._machines_with_room()
        if not machines or sum(pod.charged for pod in self.pods) >= self.quota:
            self.refused += 1
            return None
        pod = Pod(self, template, self._chance.choice(machines), self._start_seconds())
        self.pods[pod] = None
        self.most_pods = max(self.most_pods, len(self.pods))
        return pod

    def _machines_with_room(self) -> list[int]:
        """One that was lost has been replaced, and is empty."""
        taken = Counter(pod.machine for pod in self.pods if not pod.lost)
        return [one for one in range(self.machines) if self._room is None or taken[one] < self._room]

    def on(self, machine: int) -> list[Pod]:
        """Its pods, the lost ones included."""
        return [pod for pod in self.pods if pod.machine == machine]

    def lose_power(self, machine: int, keepalive: float) -> None:
        """Of its pods, and of the servers that run beside them."""
        for pod in self.on(machine):
            pod.lose(power=True, keepalive=keepalive)
        for store in self.stores.values():
            if store.local:
                store.nodes[machine].restart()

    def evict(self, pod: Pod) -> bool:
        """What a drain of its machine does: refused where the disruption budget (one pod) is spent."""
        if sum(one.ready for one in self.pods) < self.replicas:
            return False
        pod.delete()
        return True

    def workers(self) -> Iterator[Worker]:
        for pod in self.pods:
            if pod.worker is not None and not pod.worker.vanished:
                yield pod.worker

    def _reconcile(self) -> None:
        self._roll()
        for generation in self._generations:
            generation.sync()
        self._generations[:-1] = [one for one in self._generations[:-1] if one.replicas or one.active()]

    def _roll(self) -> None:
        """rolloutRolling: the new generation up as far as the surge allows, else the old ones down."""
        *old, new = self._generations
        if new.replicas > self.replicas:
            new.replicas = self.replicas
        elif room := self.replicas + self.surge - sum(one.replicas for one in self._generations):
            new.replicas += max(min(room, self.replicas - new.replicas), 0)
        spared = sum(one.replicas for one in self._generations) - self.replicas
        for one in old:  # those that are not ready do no harm by going
            going = max(min(spared - (new.replicas - new.available), one.replicas - one.available), 0)
            one.replicas -= going
            spared -= going
        may_go = min(
            sum(one.available for one in self._generations) - self.replicas,
            spared - (new.replicas - new.available),
        )
        for one in old:
            going = max(min(may_go, one.replicas), 0)
            one.replicas -= going
            may_go -= going
