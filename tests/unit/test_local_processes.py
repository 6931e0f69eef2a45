"""Other processes: dead and not yet reaped, dead and gone, somebody else's."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from infra.local import processes
from infra.local.kernel import Endpoint, KernelSampler, connections
from infra.local.ports import LOOPBACK


@contextmanager
def unreaped() -> Iterator[int]:
    """The pid of a process that is dead, and that nobody has waited for."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        yield process.pid


@pytest.fixture(params=["as this user", "as whoever is not root"])
def asked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel gives the descriptors of what has ended to root, and denies them to everybody else."""
    if request.param == "as this user":
        return

    def denied(process: psutil.Process, *_: object, **__: object) -> None:
        raise psutil.AccessDenied(process.pid)

    monkeypatch.setattr(psutil.Process, "net_connections", denied)
    monkeypatch.setattr(psutil.Process, "num_fds", denied)


@pytest.mark.usefixtures("asked")
def test_what_is_dead_and_not_yet_reaped_holds_nothing() -> None:
    with unreaped() as pid:
        assert psutil.pid_exists(pid)
        assert not processes.alive(pid)
        assert processes.ended(pid, within=0)
        assert processes.children(pid) == []
        assert processes.sockets(pid) == []
        assert processes.descriptors(pid) == 0
        assert connections(Endpoint(pid, 1)) == 0


def test_what_runs_has_not_ended() -> None:
    assert not processes.ended(os.getpid(), within=0)


@pytest.mark.usefixtures("asked")
def test_what_is_gone_holds_nothing() -> None:
    with unreaped() as pid:
        pass
    assert not processes.alive(pid)
    assert processes.children(pid) == []
    assert processes.sockets(pid) == []
    assert processes.descriptors(pid) == 0


@pytest.mark.usefixtures("asked")
def test_a_dead_server_does_not_hide_what_the_others_hold() -> None:
    with unreaped() as pid:
        assert KernelSampler({"mongodb": Endpoint(pid, 1)}).sample().connections == {"mongodb": 0}


def test_a_living_process_of_somebody_elses_is_no_process_without_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def denied(process: psutil.Process, *_: object, **__: object) -> None:
        raise psutil.AccessDenied(process.pid)

    monkeypatch.setattr(psutil.Process, "net_connections", denied)
    with pytest.raises(psutil.AccessDenied):
        processes.sockets(os.getpid())


def test_a_living_one_is_counted_at_both_ends() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection((LOOPBACK, port)), server.accept()[0]:
            mine = processes.sockets(os.getpid())
            assert sum(each.local_port == port and each.remote_port is None for each in mine) == 1
            assert sum(each.local_port == port and each.remote_port is not None for each in mine) == 1
            assert sum(each.remote_port == port for each in mine) == 1
            assert processes.descriptors(os.getpid()) >= 3


def test_children_are_those_that_live() -> None:
    with (
        unreaped() as dead,
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child,
    ):
        found = [process.pid for process in processes.children(os.getpid())]
        assert child.pid in found
        assert dead not in found
        child.kill()
