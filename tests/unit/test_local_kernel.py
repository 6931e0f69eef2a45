"""The kernel's word: sockets at the server's end, locks of slots."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agent.runtime.slots import SlotFile
from infra.local import slot_locks
from infra.local.eventually import eventually
from infra.local.kernel import Endpoint, KernelSampler, connections
from infra.local.ports import LOOPBACK

HOLDER = """
import sys
from pathlib import Path
from agent.runtime.slots import SlotFile
assert SlotFile(Path(sys.argv[1]), "slot1").try_lock()
print("locked", flush=True)
sys.stdin.read()
"""


def hold(directory: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


async def test_a_connection_counts_at_the_servers_end_until_it_is_closed_there() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        endpoint = Endpoint(os.getpid(), server.getsockname()[1])
        assert connections(endpoint) == 0
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
        with accepted:
            assert connections(endpoint) == 1
            client.close()
            # The server has not closed its end: it still pays for the socket.
            assert connections(endpoint) == 1
        await eventually(lambda: connections(endpoint) == 0, within=5, what="the socket gone")


def test_a_server_that_is_gone_has_no_connections() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert connections(Endpoint(process.pid, 1)) == 0


async def test_the_sampler_keeps_the_peak_of_a_burst() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        with KernelSampler({"mongodb": Endpoint(os.getpid(), server.getsockname()[1])}) as sampler:
            pairs = [(socket.create_connection(server.getsockname()), server.accept()[0]) for _ in range(3)]
            await eventually(lambda: sampler.peak("mongodb") == 3, within=5, what="three counted")
            for pair in pairs:
                for end in pair:
                    end.close()
            await eventually(
                lambda: sampler.latest.connections["mongodb"] == 0, within=5, what="none counted"
            )
        assert sampler.peak("mongodb") == 3


async def test_a_slots_owner_is_named_without_disturbing_it_and_freed_by_sigkill(tmp_path: Path) -> None:
    SlotFile(tmp_path, "slot0").close()
    with hold(tmp_path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        assert slot_locks.owners(tmp_path) == {"slot1": holder.pid}
        assert slot_locks.owners(tmp_path) == {"slot1": holder.pid}
        holder.kill()
        holder.wait()
        await eventually(lambda: slot_locks.owners(tmp_path) == {}, within=5, what="slot free")


def test_a_worker_without_slot_files_has_no_owners(tmp_path: Path) -> None:
    assert slot_locks.owners(tmp_path) == {}


async def test_eventually_names_what_it_waited_for() -> None:
    with pytest.raises(TimeoutError, match=r"the moon: not within 0\.1 s"):
        await eventually(lambda: False, within=0.1, what="the moon", every=0.01)
