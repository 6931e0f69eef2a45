"""The whole stack on real servers: a call is answered and stored, and whatever ends a stack leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from infra.local import stack as stacks
from infra.local import worker as workers
from infra.local.__main__ import STACK_FILE, solved
from infra.local.caller import Caller, Outcome
from infra.local.demo import stored
from infra.local.errors import StartFailed
from infra.local.eventually import eventually
from infra.local.ports import LOOPBACK
from infra.local.processes import alive, children
from infra.local.run import ROOT, STATE, Run
from infra.local.state import FILE

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

# Of a stack's start on a busy machine; an idle one needs about 6.
UP_SECONDS = 90.0


def silent(_: str) -> None:
    pass


async def test_a_call_is_answered_and_stored_and_the_end_leaves_nothing(tmp_path: Path) -> None:
    solution, count = solved(STACK_FILE, workers=1, slots=2)
    async with Run("test-stack", tmp_path) as run:
        async with stacks.running(run, solution, workers=count, say=silent) as stack:
            worker = stack.workers["worker-1"]
            family = [process.pid for process in run.processes]
            ports = [
                stack.mongodb.port,
                stack.redis.port,
                stack.metrics.port,
                worker.http_port,
                worker.metrics_port,
            ]
            caller = Caller(stack.line, "one-call", ["Hello?", "Thank you."], pause_seconds=0)
            async with stack.line.api() as livekit:
                result = await caller.call(livekit)
            assert (result.outcome, result.answers) == (Outcome.ANSWERED, 2), result.detail
            assert 0 < stack.kernel.peak(stacks.MONGODB) <= solution.datastores["mongodb"].limit
            await stack.stop_workers(within=60)
            assert stack.exit_statuses == {"worker-1": 0}
            assert stack.left_behind == []
            assert await stored.missing(stack.mongodb.url, [result]) == []
            await eventually(
                lambda: not any(stack.kernel.sample().connections.values()), within=10, what="no connection"
            )
        assert not worker.process.alive
    assert not any(map(alive, family))
    assert not any(listens(port) for port in ports)
    assert not run.state.exists()
    assert (tmp_path / "logs" / "worker-1.log").stat().st_size > 0


async def test_a_worker_whose_lifespan_cannot_open_says_why_and_the_run_ends_clean(tmp_path: Path) -> None:
    solution, _ = solved(STACK_FILE, workers=1, slots=1)
    async with (
        Run("test-stack", tmp_path) as run,
        stacks.running(run, solution, workers=0, say=silent) as stack,
    ):
        environment = {**stack.environment, "REDIS_URL": f"redis://{LOOPBACK}:1/0"}
        with pytest.raises(StartFailed, match=r"(?s)worker-x ended at its start with status [1-9].*redis"):
            await workers.start(run, "worker-x", environment)
    assert run.processes == []


@dataclass
class Up:
    """`python -m infra.local up` as a process of its own, as a person starts it."""

    process: subprocess.Popen[str]
    name: str = ""

    @property
    def state(self) -> Path:
        return STATE / self.name

    async def is_up(self) -> None:
        assert self.process.stdout is not None
        first = self.process.stdout.readline()
        found = re.search(r"build/(up-[^/]+)/logs", first)
        assert found, first
        self.name = found[1]
        await eventually(
            lambda: (self.state / FILE).exists() or self.process.poll() is not None,
            within=UP_SECONDS,
            what="stack up",
        )
        assert self.process.poll() is None, self.process.stdout.read()

    def family(self) -> list[psutil.Process]:
        return children(self.process.pid)

    async def leaves_nothing(self, family: list[psutil.Process]) -> None:
        assert len(family) >= 6, "four servers, a worker and the reaper"
        await eventually(lambda: not any(map(runs_still, family)), within=20, what="every process gone")
        await eventually(lambda: not self.state.exists(), within=10, what="the state directory gone")


@pytest.fixture
def started() -> Iterator[list[Up]]:
    ups: list[Up] = []
    yield ups
    for up in ups:
        # SIGTERM, so that even a failed test leaves nothing: the supervisor stops what it started.
        up.process.terminate()
        up.process.communicate(timeout=60)


def start(started: list[Up]) -> Up:
    up = Up(
        subprocess.Popen(
            [sys.executable, "-m", "infra.local", "up", "--workers", "1", "--slots", "1"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    )
    started.append(up)
    return up


async def test_two_stacks_run_side_by_side_and_a_signal_ends_each_alone(started: list[Up]) -> None:
    one, other = start(started), start(started)
    await one.is_up()
    await other.is_up()
    for up in (one, other):
        assert up.state.joinpath(FILE).stat().st_mode & 0o077 == 0
    url_of_one, url_of_other = (
        json.loads((up.state / FILE).read_text())["line"]["url"] for up in (one, other)
    )
    assert url_of_one != url_of_other

    family = one.family()
    one.process.send_signal(signal.SIGINT)
    output, _ = one.process.communicate(timeout=60)
    assert one.process.returncode == 128 + signal.SIGINT, output
    assert "Traceback" not in output
    await one.leaves_nothing(family)

    said = call(other.name, "Hello there\n")
    assert said.returncode == 0, said.stdout
    assert said.stdout.count("agent>") == 2, said.stdout

    family = other.family()
    other.process.send_signal(signal.SIGTERM)
    output, _ = other.process.communicate(timeout=60)
    assert other.process.returncode == 128 + signal.SIGTERM, output
    await other.leaves_nothing(family)


async def test_even_sigkill_of_the_supervisor_leaves_nothing(started: list[Up]) -> None:
    up = start(started)
    await up.is_up()
    family = up.family()
    up.process.kill()
    await up.leaves_nothing(family)


def call(name: str, text: str) -> subprocess.CompletedProcess[str]:
    """`python -m infra.local call`, with what a person types."""
    return subprocess.run(
        [sys.executable, "-m", "infra.local", "call", "--run", name],
        cwd=ROOT,
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=90,
        check=False,
    )


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((LOOPBACK, port)) == 0


def runs_still(process: psutil.Process) -> bool:
    """The same process, not another that was given its pid."""
    return process.is_running() and alive(process.pid)
