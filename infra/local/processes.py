"""Other processes, as the kernel tells of them: some are dead, some dead and not yet reaped, some somebody else's.

What has ended holds nothing. The kernel says so to root alone: of a process that is dead and not yet reaped, or has
just given its memory back, the descriptors belong to root, and everybody else is denied them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import psutil

T = TypeVar("T")

POLL_SECONDS = 0.1
ENDED = frozenset({psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD})


class Socket(NamedTuple):
    """One end of a TCP connection."""

    local_port: int
    remote_port: int | None
    """None: it listens."""
    status: str
    """One of psutil's CONN_*."""


def alive(pid: int) -> bool:
    """Whether it runs: not one that waits to be reaped, nor one whose pid was never given."""
    try:
        return psutil.Process(pid).status() not in ENDED
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True  # somebody else's, on a machine that hides what others run


def ended(pid: int, *, within: float) -> bool:
    """Wait until it no longer runs, for so many seconds at most: whose child it is need not have reaped it."""
    deadline = time.monotonic() + within
    while running := alive(pid):
        if time.monotonic() >= deadline:
            break
        time.sleep(POLL_SECONDS)
    return not running


def children(pid: int) -> list[psutil.Process]:
    """Living descendants; none of what is gone."""
    try:
        found = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return [child for child in found if alive(child.pid)]


def sockets(pid: int) -> list[Socket]:
    """Its TCP sockets; none of what has ended.

    Raises:
        psutil.AccessDenied: it lives and is somebody else's. No number is the truth then.
    """
    found = _asked(pid, lambda process: process.net_connections(kind="tcp")) or []
    return [Socket(s.laddr.port, getattr(s.raddr, "port", None), s.status) for s in found]


def descriptors(pid: int) -> int:
    """How many it has open. As `sockets`."""
    return _asked(pid, lambda process: process.num_fds()) or 0


def command_line(pid: int) -> str:
    """For people; empty where it is not available."""
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return ""


def _asked(pid: int, question: Callable[[psutil.Process], T]) -> T | None:
    """None of what has ended."""
    try:
        process = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None
    try:
        return question(process)
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        if _ended(process):
            return None
        raise


def _ended(process: psutil.Process) -> bool:
    try:
        # No memory: it is on its way to be a zombie, which takes longer on a busy machine.
        return process.status() in ENDED or process.memory_info().vms == 0
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False
