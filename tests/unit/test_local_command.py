"""The command line: sizes, refusals and how other commands find a stack."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import psutil
import pytest

from infra.handoff.environment import worker_environment
from infra.local import run as runs
from infra.local import state
from infra.local.__main__ import STACK_FILE, further_datastores, main, solved
from infra.local.conversation import Line
from infra.local.demo.waves import wave_sizes
from infra.local.errors import NoStack
from infra.local.run import Run, bare_environment
from infra.local.servers import livekit, redis

LINE = Line("ws://127.0.0.1:1", "key", "secret", "assistant")


def test_sizes_of_the_command_line_are_solved_like_those_of_the_file() -> None:
    solution, workers = solved(STACK_FILE, workers=3, slots=8)
    assert (workers, solution.fleet.slots, solution.fleet.jobs) == (3, 8, 24)
    solution, workers = solved(STACK_FILE, workers=None, slots=None)
    assert workers == solution.fleet.max_replicas


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["demo", "--calls", "1"], "got '1'; accepted: a whole number of calls from 2 to 10000"),
        (["demo", "--slots", "two"], "got 'two'; accepted: a whole number of slots from 1 to 1000"),
        (["up", "--workers", "0"], "got '0'; accepted: a whole number of workers from 1 to 50"),
        (["up", "--workers", "٣"], "accepted: a whole number of workers"),
        (
            ["demo", "--datastores", "mongodb,redis,solr"],
            "got 'mongodb,redis,solr'; accepted: mongodb,redis and any of",
        ),
        (
            ["demo", "--datastores", "weaviate"],
            "got 'weaviate'; accepted: mongodb,redis and any of elasticsearch",
        ),
    ],
)
def test_unusable_arguments_are_refused_by_name(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(argv)
    assert exit_.value.code == 2
    assert message in capsys.readouterr().err


def test_further_datastores_are_budgeted_and_do_not_change_the_others_shares() -> None:
    names = further_datastores("mongodb, redis,elasticsearch,weaviate")
    assert set(names) == {"weaviate", "elasticsearch"}
    alone, _ = solved(STACK_FILE, workers=2, slots=4)
    solution, _ = solved(STACK_FILE, workers=2, slots=4, datastores=names)
    assert set(names) == set(solution.datastores) - set(alone.datastores)
    assert solution.datastores["mongodb"].per_job == alone.datastores["mongodb"].per_job
    assert {"WEAVIATE_POOL", "ELASTICSEARCH_POOL"} <= set(worker_environment(solution))


def test_a_missing_stack_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", "--stack", str(tmp_path / "none.yaml")]) == 2
    assert "no such file" in capsys.readouterr().err


def test_a_budget_that_does_not_fit_is_not_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "Pulumi.small.yaml"
    file.write_text(
        "config:\n"
        "  agent-datastores:fleet: {jobs: 8, slots: 4, max_call_seconds: 60}\n"
        "  agent-datastores:mongodb: {limit: 10}\n"
    )
    assert main(["demo", "--stack", str(file)]) == 2
    assert f"make budget STACK={file}" in capsys.readouterr().err


def test_a_machine_with_loopback_alone_is_told_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    addresses = psutil.net_if_addrs()
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: {"lo": addresses["lo"]})
    assert main(["demo"]) == 2
    assert "no network interface beside loopback" in capsys.readouterr().err


@pytest.fixture
def state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for module in (runs, state):
        monkeypatch.setattr(module, "STATE", tmp_path / "state")
    monkeypatch.setattr(runs, "OUTPUT", tmp_path / "build")
    return tmp_path / "state"


async def test_a_running_stack_is_found_and_an_ended_one_is_not(state_directory: Path) -> None:
    with pytest.raises(NoStack, match="no stack is up"):
        state.find(None)
    async with Run("up") as one:
        file = state.publish(one, LINE)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(one.state.stat().st_mode) == 0o700
        assert state.find(None).line == LINE
        async with Run("up") as other:
            state.publish(other, LINE)
            with pytest.raises(NoStack, match="several stacks are up"):
                state.find(None)
            assert state.find(other.name).name == other.name
        with pytest.raises(NoStack, match=f"no stack named {other.name} is up; up: {one.name}"):
            state.find(other.name)
        # Its supervisor is gone: what a power cut leaves.
        file.write_text(json.dumps({**json.loads(file.read_text()), "pid": 2**22 + 1}))
        with pytest.raises(NoStack, match="no stack is up"):
            state.find(None)
    assert not one.state.exists()
    assert (one.output / "logs").is_dir()
    assert (state_directory / ".gitignore").read_text() == "*\n"


async def test_only_the_newest_logs_of_a_kind_are_kept(state_directory: Path) -> None:
    build = state_directory.parent / "build"
    old = [build / f"up-20200101-0000{n:02}-abc" for n in range(runs.KEPT + 3)]
    other = build / "demo-20200101-000000-abc"
    for directory in (*old, other):
        directory.mkdir(parents=True)
    async with Run("up") as run:
        kept = sorted(path.name for path in build.glob("up-*"))
    assert kept == [*(path.name for path in old[-runs.KEPT :]), run.name]
    assert other.is_dir()


def test_the_callers_environment_does_not_leak_into_a_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGODB_URL", "mongodb://elsewhere")
    monkeypatch.setenv("LIVEKIT_URL", "wss://elsewhere")
    assert set(bare_environment()) <= set(runs.PASSED_ON)
    assert bare_environment()["PATH"] == os.environ["PATH"]


def test_servers_listen_on_loopback_and_take_their_limits_from_the_budget(tmp_path: Path) -> None:
    settings = redis.config(6379, tmp_path, "password", 43).splitlines()
    assert {"bind 127.0.0.1", "maxclients 43", 'save ""', "requirepass password"} <= set(settings)
    config = livekit.config(1, 2, 3, "key", "secret")
    assert config["bind_addresses"] == ["127.0.0.1"]
    assert (config["rtc"]["tcp_port"], config["rtc"]["udp_port"]) == (2, 3)


@pytest.mark.parametrize(("calls", "sizes"), [(24, (12, 12)), (5, (3, 2)), (2, (1, 1))])
def test_waves_share_the_calls(calls: int, sizes: tuple[int, int]) -> None:
    assert wave_sizes(calls) == sizes
