"""One process: waited for on a condition, its last words shown when it dies, ended with all its children."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local import ports
from infra.local.errors import StartFailed
from infra.local.eventually import eventually
from infra.local.process import Process
from infra.local.processes import alive, children
from infra.local.reaper import follow

CHILD = "import subprocess, sys; c = subprocess.Popen(['sleep', '600']); print(c.pid, flush=True); c.wait()"
STUBBORN = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
signal.pause()
signal.pause()
"""
SUPERVISOR = """
import subprocess, sys
from pathlib import Path
from infra.local.reaper import Reaper
reaper = Reaper(Path(sys.argv[1]))
stopped = subprocess.Popen(["sleep", "600"], start_new_session=True)
kept = subprocess.Popen(["sh", "-c", "sleep 600 & sleep 600"], start_new_session=True)
reaper.watch(stopped.pid)
reaper.watch(kept.pid)
reaper.forget(stopped.pid)
print(stopped.pid, kept.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def started() -> Iterator[list[Process]]:
    processes: list[Process] = []
    yield processes
    for process in processes:
        process.kill()


def start(started: list[Process], tmp_path: Path, code: str) -> Process:
    process = Process(
        "example",
        [sys.executable, "-c", code],
        log=tmp_path / "example.log",
        environment=dict(os.environ),
        directory=tmp_path,
    )
    started.append(process)
    return process


async def never() -> bool:
    return False


async def test_a_process_that_dies_at_its_start_fails_at_once_with_its_last_lines(
    tmp_path: Path, started: list[Process]
) -> None:
    process = start(started, tmp_path, "print('no such file: x.yaml'); raise SystemExit(3)")
    with pytest.raises(StartFailed, match=r"(?s)ended at its start with status 3.*no such file: x\.yaml"):
        await process.ready(never, within=30)


async def test_a_process_that_stays_silent_fails_at_its_deadline(
    tmp_path: Path, started: list[Process]
) -> None:
    process = start(started, tmp_path, STUBBORN)
    with pytest.raises(StartFailed, match=r"was not ready within 0\.2 s"):
        await process.ready(never, within=0.2)


async def test_stop_reports_and_ends_what_outlived_its_parent(tmp_path: Path, started: list[Process]) -> None:
    process = start(started, tmp_path, CHILD)
    await eventually(lambda: bool(process.log.read_text()), within=10, what="child started")
    child = int(process.log.read_text())
    assert await process.stop(within=10) == -signal.SIGTERM
    assert [line.split(":")[0] for line in process.left_behind] == [f"example left pid {child}"]
    await eventually(lambda: not alive(child), within=5, what="child gone")


async def test_a_process_that_ignores_sigterm_is_killed_after_the_wait(
    tmp_path: Path, started: list[Process]
) -> None:
    process = start(started, tmp_path, STUBBORN)
    await eventually(lambda: process.log.read_text() == "up\n", within=10, what="started")
    assert await process.stop(within=0.2) == -signal.SIGKILL
    assert not process.alive


async def test_of_json_lines_the_message_is_shown(tmp_path: Path, started: list[Process]) -> None:
    record = {"level": "CRITICAL", "message": "the worker does not start", "pid": 5, "exc_info": "A\nB"}
    process = start(started, tmp_path, f"print({json.dumps(record)!r}); raise SystemExit(3)")
    with pytest.raises(StartFailed, match=r"  CRITICAL the worker does not start\n    A\n    B$"):
        await process.ready(never, within=30)


async def test_a_command_that_fails_says_so(tmp_path: Path, started: list[Process]) -> None:
    process = start(started, tmp_path, "raise SystemExit('MONGODB_URL is not set')")
    with pytest.raises(StartFailed, match=r"(?s)ended with status 1.*MONGODB_URL is not set"):
        await process.finished(within=30)


async def test_what_a_killed_supervisor_left_is_ended_and_its_secrets_removed(tmp_path: Path) -> None:
    secrets = tmp_path / "run"
    secrets.mkdir()
    (secrets / "stack.json").write_text("{}")
    with python(SUPERVISOR, str(secrets)) as supervisor:
        assert supervisor.stdout is not None
        stopped, kept = (int(pid) for pid in supervisor.stdout.readline().split())
        try:
            await eventually(lambda: bool(children(kept)), within=10, what="grandchildren")
            family = [kept, *(child.pid for child in children(kept))]
            supervisor.kill()
            supervisor.wait()
            await eventually(lambda: not any(map(alive, family)), within=10, what="the whole group gone")
            await eventually(lambda: not secrets.exists(), within=10, what="directory removed")
            assert alive(stopped), "a group that was no longer watched must be left alone"
        finally:
            os.kill(stopped, signal.SIGKILL)


def test_a_line_that_the_supervisor_did_not_finish_is_not_believed(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_text("+10\n+11\n-10\n+1")
    with file.open() as lines:
        assert follow(lines) == {11}


async def test_a_port_that_was_taken_meanwhile_is_tried_again() -> None:
    attempts: list[int] = []

    async def start_once_failing() -> str:
        attempts.append(ports.free_port())
        if len(attempts) == 1:
            raise StartFailed("listen tcp: bind: Address already in use")
        return "up"

    assert await ports.retry_on_clash(start_once_failing) == "up"
    assert len(set(attempts)) == 2


async def test_another_failure_is_not_tried_again() -> None:
    attempts: list[int] = []

    async def start_failing() -> str:
        attempts.append(1)
        raise StartFailed("permission denied")

    with pytest.raises(StartFailed, match="permission denied"):
        await ports.retry_on_clash(start_failing)
    assert attempts == [1]


def python(code: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
