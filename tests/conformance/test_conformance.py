"""What any datastore must do, ours or anyone's, against its real server: seven promises, each a test.

MongoDB and Redis run with every `make test`; the others, whose servers take minutes to build, with
`make test-datastores`.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Generator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest
import pytest_asyncio

from agent.runtime import metrics
from agent.runtime.datastores.base import Connections
from agent.runtime.errors import LifespanError
from agent.runtime.scope import Scope, lifespan_scope
from infra.budget import solve
from infra.config import parse_config
from infra.local.eventually import eventually
from infra.local.run import Run
from infra.supply.errors import BuildError
from tests.conformance.cases import HEAVY, QUICK, Case, Server

CLOSE_SECONDS = 2.0
# Promises about gauges say "within 5 s of any death".
GAUGE_SECONDS = 5.0
BACK_SECONDS = 30.0
# A burst, several times over: more operations at once than any pool has connections.
BURST = 40

pytestmark = [
    pytest.mark.integration,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(400),  # a Java server starts in 30 s on an idle machine and in 140 s on a busy one
]


@pytest.fixture(
    scope="module",
    params=[*QUICK, *(pytest.param(case, marks=pytest.mark.datastores) for case in HEAVY)],
    ids=str,
)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param  # type: ignore[no-any-return]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(case: Case) -> AsyncIterator[Server]:
    async with Run(f"test-{case.name}") as run:
        try:
            yield await case.start(run)
        except BuildError as error:
            pytest.skip(str(error))  # Maven is the machine's own; the message says how to get it


@pytest.fixture(autouse=True)
def environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics.keep_in_memory()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def share(case: Case) -> int:
    """What the budget grants a job, at the pool's default."""
    values: dict[str, object] = {"fleet": {"jobs": 1, "slots": 1, "max_call_seconds": 60}}
    if case in HEAVY:
        values["datastores"] = {case.name: {}}
    return solve(parse_config(values, "test")).datastores[case.name].per_job


@asynccontextmanager
async def job() -> AsyncIterator[Scope]:
    with lifespan_scope(Scope("job", CLOSE_SECONDS)) as scope:
        yield scope


def total(connections: Connections) -> int:
    return connections.in_use + connections.idle + connections.monitoring


async def settled(server: Server, connections: int, within: float = GAUGE_SECONDS) -> None:
    def as_many() -> bool:
        # What a driver drops when it is cancelled while connecting (PyMongo does) ends when Python collects it.
        gc.collect()
        return server.connections() == connections

    await eventually(as_many, within=within, every=0.1, what=f"{connections} connections in the kernel")


async def burst(case: Case, client: Any) -> None:
    await asyncio.gather(*(case.operate(client) for _ in range(BURST)))


async def test_it_opens_in_its_lifespans_loop_alone(case: Case, server: Server) -> None:
    with pytest.raises(LifespanError, match=f"{case.name} was opened outside of a lifespan"):
        async with case.open():
            pass
    raised: list[BaseException] = []

    async def open_it() -> None:
        async with case.open():
            pass

    def in_another_loop(scope: Scope) -> None:
        with lifespan_scope(scope):
            try:
                asyncio.run(open_it())
            except LifespanError as error:
                raised.append(error)

    async with job() as scope:
        thread = threading.Thread(target=in_another_loop, args=(scope,))
        thread.start()
        await asyncio.to_thread(thread.join)
        assert "in another event loop" in str(raised[0])
        async with case.open():
            with pytest.raises(LifespanError, match=f"{case.name} was opened twice"):
                await open_it()
        scope.opening = False
        with pytest.raises(LifespanError, match=f"{case.name} was opened after"):
            await open_it()
    await settled(server, 0)


async def test_it_never_holds_more_than_its_share_and_counts_what_the_kernel_counts(
    case: Case, server: Server, share: int
) -> None:
    stop, seen = threading.Event(), [0]

    def look() -> None:  # on a thread: the loop is busy in a burst
        while not stop.is_set():
            seen.append(server.connections())

    counting = threading.Thread(target=look)
    async with job() as scope, case.open() as client:
        counting.start()
        try:
            for _ in range(5):
                await burst(case, client)
        finally:
            stop.set()
            await asyncio.to_thread(counting.join)
        assert 0 < max(seen) <= share
        datastore = scope.datastores[case.name]
        await settled(server, total(datastore.connections()))
        assert 0 < total(datastore.connections()) <= share
        assert datastore.connections().in_use == 0
    await settled(server, 0)


async def test_a_server_that_stops_answering_is_left_within_the_deadline(case: Case, server: Server) -> None:
    process = server.process.pid
    async with job():
        opened = case.open()
        client = await opened.__aenter__()
        await case.operate(client)
        os.kill(process, signal.SIGSTOP)
        try:
            started = time.monotonic()
            await opened.__aexit__(None, None, None)
            assert time.monotonic() - started < CLOSE_SECONDS + 1
        finally:
            os.kill(process, signal.SIGCONT)
    await settled(server, 0)


async def test_a_close_is_asked_for_once(case: Case, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    closes = 0
    async with job() as scope, case.open():
        datastore = scope.datastores[case.name]
        really = datastore.close

        async def close() -> None:
            nonlocal closes
            closes += 1
            await really()

        monkeypatch.setattr(datastore, "close", close)
    assert closes == 1
    assert datastore.connections() == Connections()
    await settled(server, 0)


class CancelledAt:
    """Runs a coroutine and cancels its task at the coroutine's `step`-th await, as Task.cancel() does."""

    def __init__(self, work: Coroutine[Any, Any, None], step: int) -> None:
        self.work, self.step, self.steps = work, step, 0

    def __await__(self) -> Generator[Any, Any, None]:
        error: BaseException | None = None
        while True:
            try:
                awaited = self.work.throw(error) if error else self.work.send(None)
            except StopIteration:
                return
            self.steps += 1
            if self.steps == self.step:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            try:
                yield awaited
                error = None
            except BaseException as raised:
                error = raised


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
async def test_a_cancel_at_any_await_leaves_nothing_open(case: Case, server: Server) -> None:
    async def use() -> None:
        async with job(), case.open() as client:
            await case.operate(client)

    async def steps_when_cancelled_at(step: int) -> int:
        work = CancelledAt(use(), step)

        async def run() -> None:
            await work

        task = asyncio.create_task(run())
        await asyncio.wait({task})
        # A driver may swallow a cancel (redis-py does while it connects): then the work went on to its end.
        assert task.cancelled() or task.exception() is None, f"await {step}: {task.exception()!r}"
        return work.steps

    # The task is not kept: its traceback would keep gRPC's cancelled call, and that the connection.
    for step in count(1):
        steps = await steps_when_cancelled_at(step)
        await settled(server, 0)
        if steps < step:
            assert step > 3  # opening, operating and closing each wait for the server
            return


async def test_it_survives_a_restart_of_its_server(case: Case, server: Server, share: int) -> None:
    async def answers() -> bool:
        try:
            await case.operate(client)
        except LifespanError:
            raise
        except Exception:  # each driver has its own
            return False
        return True

    async with job() as scope, case.open() as client:
        await case.operate(client)
        datastore = scope.datastores[case.name]
        server.process.kill()
        await eventually(lambda: not server.process.alive, within=10, what="the server's death")
        await eventually(
            lambda: total(datastore.connections()) == 0, within=GAUGE_SECONDS, what="a gauge of 0"
        )
        again = await server.start_again()
        server.process = again.process
        await eventually(answers, within=BACK_SECONDS, what="an operation after the restart")
        await burst(case, client)
        await settled(server, total(datastore.connections()))
        assert 0 < server.connections() <= share
    await settled(server, 0)


async def test_use_after_its_lifespan_is_refused(case: Case, server: Server) -> None:
    async with job(), case.open() as client:
        await case.operate(client)
    await settled(server, 0)
    with pytest.raises(
        Exception, match="clos"
    ):  # LifespanError, or the driver's own where it says so clearly
        await case.operate(client)
    await asyncio.sleep(0)
    assert server.connections() == 0
