"""Where rows are run: real servers, workers with short deadlines, and the kernel's view of what is left of a job."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import MappingProxyType

import aiohttp
import psutil
from livekit import api

from infra.local import slot_locks
from infra.local import stack as stacks
from infra.local import worker as workers
from infra.local.__main__ import STACK_FILE, solved
from infra.local.eventually import together
from infra.local.gauges import Gauges
from infra.local.kernel import connections
from infra.local.ports import LOOPBACK
from infra.local.processes import alive, sockets
from infra.local.run import Run
from infra.local.stack import Stack
from infra.local.worker import Worker
from tests.faults.patience import eventually
from tests.faults.row import CONNECTIONS, GAUGES, PROCESS, SLOT, Stopwatch
from tests.faults.wrongs import MARKS, Point, Wrong, marked

FAULTY = Path("tests/faults/agents/faulty.py")
WORKER_FAULTY = Path("tests/faults/agents/worker_faulty.py")
SLOTS = 4
ESTABLISHED = psutil.CONN_ESTABLISHED
CONNECTING = {api.ParticipantInfo.JOINING, api.ParticipantInfo.JOINED}
# A worker ends its jobs first, each within AGENT_JOB_END_SECONDS below.
STOP_SECONDS = 20.0
# A job is started, and the first one of a worker asked for, within this; two busy cores included. livekit-server
# spends 5 s of it on workers that registered a moment ago.
START_SECONDS = 60.0
# Longer than any deadline below.
TRUTH_SECONDS = 25.0
DEADLINES = {
    "AGENT_OPEN_TIMEOUT_SECONDS": "2",
    "AGENT_CLOSE_TIMEOUT_SECONDS": "2",
    "AGENT_SHUTDOWN_CALLBACKS_SECONDS": "2",
    "AGENT_JOB_END_SECONDS": "6",
    "AGENT_SESSION_END_TIMEOUT_SECONDS": "2",
}


@dataclass(frozen=True)
class Job:
    """A call that a worker has, and what that worker had counted before."""

    worker: Worker
    room: str
    dispatch: str
    pid: int
    outcomes: Mapping[str, int]
    others: Mapping[str, int]
    """Connections of other jobs at each database, before this one."""


@dataclass
class Bench:
    """One set of servers, and the workers that a row starts or shares."""

    stack: Stack
    livekit: api.LiveKitAPI
    http: aiohttp.ClientSession
    marks: Path
    workers: list[Worker] = field(default_factory=list)
    _names: count[int] = field(default_factory=lambda: count(1))

    @asynccontextmanager
    async def worker(
        self,
        name: str = "",
        environment: Mapping[str, str] = MappingProxyType({}),
        *,
        entrypoint: Path = FAULTY,
    ) -> AsyncIterator[Worker]:
        """A worker of its own agent name, so that no other worker is offered its calls; stopped at the end."""
        name = name or f"worker-{next(self._names)}"
        worker = await workers.start(
            self.stack.run, name, self.environment(name, environment), entrypoint=entrypoint
        )
        self.workers.append(worker)
        try:
            yield worker
        finally:
            self.workers.remove(worker)
            await self.stack.run.stop(worker.process, within=STOP_SECONDS)

    def environment(self, name: str, environment: Mapping[str, str]) -> dict[str, str]:
        slots = {"AGENT_SLOTS": str(SLOTS), "AGENT_IDLE_PROCESSES": "1"}
        own = {"AGENT_NAME": name, MARKS: str(self.marks)}
        return {**self.stack.environment, **DEADLINES, **slots, **own, **environment}

    async def dispatch(self, agent_name: str, room: str, wrong: Wrong = Wrong.NOTHING) -> str:
        request = api.CreateAgentDispatchRequest(agent_name=agent_name, room=room, metadata=wrong)
        return (await self.livekit.agent_dispatch.create_dispatch(request)).id

    async def call(self, worker: Worker, wrong: Wrong, until: Point = Point.IN_THE_CALL) -> Job:
        """Place a call that goes wrong in this way, and wait until it reached `until`."""
        await self.at_rest(worker)
        others, before = self.of_jobs(), await self.gauges(worker)
        room = f"{worker.name}-{next(self._names)}"
        dispatch = await self.dispatch(worker.name, room, wrong)
        pid = await self.reached(room, until)
        return Job(worker, room, dispatch, pid, before.outcomes, others)

    async def reached(self, room: str, point: Point, within: float = START_SECONDS) -> int:
        """Wait until the call in `room` reached `point`; the pid it left there."""
        path = marked(self.marks, room, point)
        await eventually(path.exists, within=within, what=f"{room}: {point}")
        return int(path.read_text())

    async def hang_up(self, room: str) -> None:
        """Delete the room, once LiveKit's clients in it are connected: a call that is still being set up is another
        fault."""

        async def connected() -> bool:
            request = api.ListParticipantsRequest(room=room)
            participants = (await self.livekit.room.list_participants(request)).participants
            return all(participant.state not in CONNECTING for participant in participants)

        await eventually(connected, within=15, what=f"{room}: everyone in it connected")
        await self.livekit.room.delete_room(api.DeleteRoomRequest(room=room))

    async def at_rest(self, worker: Worker) -> None:
        """Wait until the worker runs nothing and the gauges say what the kernel says."""
        connected: dict[str, int] = {}

        async def quiet() -> bool:
            connected.update(self.connected())
            gauges = await worker.gauges(self.http)
            return (
                gauges is not None
                and await self.active(worker) == 0
                and gauges.running == len(self.owners(worker)) == 0
                and await self.gauges_are(connected)
                and self.connected() == connected
            )

        try:
            await eventually(quiet, within=TRUTH_SECONDS, what=f"{worker.name} at rest", every=0.1)
        except TimeoutError as error:
            raise TimeoutError(f"{error}: active {await self.active(worker)}, {await self.told()}") from None

    async def told(self) -> str:
        """What the kernel and every worker's gauges say now, for messages."""
        told = {}
        for worker in self.workers:
            seen = await worker.gauges(self.http)
            said = (seen.running, seen.connections, seen.outcomes) if seen else None
            told[worker.name] = (said, self.owners(worker))
        return f"connected {self.connected()}, workers' gauges and slots {told}"

    async def active(self, worker: Worker) -> int:
        """Jobs the worker itself counts, those whose process is about to end included."""
        async with self.http.get(f"{worker.url}/worker") as response:
            return int((await response.json()).get("active_jobs", 0))  # protobuf leaves zeros out

    async def ready(self, worker: Worker) -> int:
        """The status of its readiness route; 0 when it does not answer."""
        return await self.ready_at(worker.http_port)

    async def ready_at(self, port: int) -> int:
        try:
            async with self.http.get(f"http://{LOOPBACK}:{port}/ready") as response:
                return response.status
        except aiohttp.ClientError:
            return 0

    async def gauges(self, worker: Worker) -> Gauges:
        gauges = await worker.gauges(self.http)
        assert gauges is not None, f"{worker.name} is not scraped"
        return gauges

    def connected(self) -> dict[str, int]:
        """Now, at each database, as the kernel counts."""
        return {name: connections(endpoint) for name, endpoint in self.stack.kernel.endpoints.items()}

    def of_jobs(self) -> dict[str, int]:
        """The same without what workers hold themselves, which comes and goes: an idle one is closed after 60 s."""
        main = [worker.process.pid for worker in self.workers]
        return {
            name: number - sum(self.held_by(pid, name) for pid in main)
            for name, number in self.connected().items()
        }

    def held_by(self, pid: int, datastore: str) -> int:
        """Connections of one process to the datastore, as the kernel counts; 0 when it has ended."""
        port = self.stack.kernel.endpoints[datastore].port
        return sum(s.remote_port == port and s.status == ESTABLISHED for s in sockets(pid))

    @staticmethod
    def owners(worker: Worker) -> dict[str, int]:
        return slot_locks.owners(worker.slot_directory)

    @staticmethod
    def unowned(worker: Worker) -> list[str]:
        """Metric files of processes that own no slot: idle ones, and jobs that wait for theirs, must have none."""
        directory = worker.slot_directory.parent / "metrics"
        owned = re.compile(r"_(slot\d+|worker-\d+|surplus)\.db$")
        return [file.name for file in directory.glob("*.db") if not owned.search(file.name)]

    async def gauges_are(self, connected: Mapping[str, int]) -> bool:
        """All workers' gauges together are what the kernel counted."""
        seen = [await worker.gauges(self.http) for worker in self.workers]
        return all(
            sum(gauges.total(name) for gauges in seen if gauges) == number
            for name, number in connected.items()
        )

    async def truth(
        self, job: Job, since: Stopwatch, outcome: str, *, within: float = TRUTH_SECONDS
    ) -> dict[str, float]:
        """Wait until nothing of `job` is left and its worker says so: seconds to each column of the table."""

        async def gauges_true() -> bool:
            gauges = await job.worker.gauges(self.http)
            expected = job.outcomes.get(outcome, 0) + 1
            return (
                gauges is not None
                and gauges.running == len(self.owners(job.worker))
                and gauges.outcomes.get(outcome, 0) == expected
                and sum(gauges.outcomes.values()) == sum(job.outcomes.values()) + 1
                and await self.gauges_are(self.connected())
            )

        async def seconds(column: str, condition: Callable[[], bool | Awaitable[bool]]) -> tuple[str, float]:
            try:
                await eventually(condition, within=within, what=column)
            except TimeoutError as error:
                raise TimeoutError(
                    f"{error}: {job.room}, to be {outcome}; connections of jobs {self.of_jobs()}, {job.others} before; "
                    f"outcomes {dict(job.outcomes)} before; {await self.told()}"
                ) from None
            return column, since.seconds

        def freed() -> bool:
            return job.pid not in self.owners(job.worker).values()

        return dict(
            await together(
                [
                    seconds(CONNECTIONS, lambda: self.of_jobs() == job.others),
                    seconds(GAUGES, gauges_true),
                    seconds(SLOT, freed),
                    seconds(PROCESS, lambda: not alive(job.pid)),
                ]
            )
        )


def silent(_: str) -> None:
    pass


@asynccontextmanager
async def servers(output: Path) -> AsyncIterator[Bench]:
    """livekit-server, MongoDB wire, Valkey; no worker yet."""
    solution, _ = solved(STACK_FILE, workers=3, slots=SLOTS)
    async with (
        Run("test-faults", output) as run,
        stacks.running(run, solution, workers=0, say=silent) as stack,
        stack.line.api() as livekit,
        aiohttp.ClientSession() as http,
    ):
        yield Bench(stack, livekit, http, run.directory("marks"))
