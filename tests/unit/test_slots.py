"""A slot belongs to one living process, and to nobody as soon as that process is gone, whatever ended it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.runtime import slots
from agent.runtime.errors import SlotUnavailable
from agent.runtime.slots import SlotDirectory, SlotFile

# Owns slot 0, forks a helper that outlives it, says so, and waits to be killed.
OWNER = """
import os, signal, sys, time
from pathlib import Path
from agent.runtime.slots import SlotFile
slot = SlotFile(Path(sys.argv[1]), "slot0")
assert slot.try_lock()
helper = os.fork()
if helper == 0:
    signal.pause()
print(helper, flush=True)
signal.pause()
"""


@pytest.fixture
def owned(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that owns the only slot of `tmp_path`, with a helper forked from it."""
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    with owner.stdout:
        helper = int(owner.stdout.readline())
        yield owner
        os.kill(helper, signal.SIGKILL)
        owner.kill()
        owner.wait()


def test_a_killed_owner_frees_its_slot_even_if_its_helper_lives(
    tmp_path: Path, owned: subprocess.Popen[str]
) -> None:
    slot = SlotFile(tmp_path, "slot0")
    assert not slot.try_lock()
    owned.kill()
    owned.wait()
    assert slot.try_lock()
    slot.close()


async def test_a_job_takes_a_free_slot(tmp_path: Path) -> None:
    directory = SlotDirectory(tmp_path, 2)
    assert (await directory.acquire()).name == "slot0"
    directory.close()


@pytest.mark.usefixtures("owned")
async def test_without_a_free_slot_the_error_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "ACQUIRE_SECONDS", 0.0)
    with pytest.raises(SlotUnavailable, match=r"all 1 slots .* a directory of its own"):
        await SlotDirectory(tmp_path, 1).acquire()


def test_a_slot_is_taken_while_its_owner_lives(tmp_path: Path, owned: subprocess.Popen[str]) -> None:
    mine, other = SlotFile(tmp_path, "slot0"), SlotFile(tmp_path, "slot1")
    assert [slot.taken for slot in (mine, other)] == [True, False]
    owned.kill()
    owned.wait()
    assert [slot.taken for slot in (mine, other)] == [False, False]
    for slot in (mine, other):
        slot.close()


async def test_a_slot_of_this_process_is_not_given_twice(tmp_path: Path) -> None:
    """Where jobs are threads (LiveKit's console), the kernel would give the process its own lock again."""
    jobs, sweeper = SlotDirectory(tmp_path, 2), SlotDirectory(tmp_path, 2)
    assert [(await jobs.acquire()).name, (await jobs.acquire()).name] == ["slot0", "slot1"]
    assert [slot.taken and slot.owned_here for slot in sweeper.files] == [True, True]
    jobs.close()
    assert [slot.owned_here for slot in sweeper.files] == [False, False]
    sweeper.close()
