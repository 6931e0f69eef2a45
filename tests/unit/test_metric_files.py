"""A scrape never meets a metric file without its size, whenever it looks."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.mmap_dict import MmapedDict

from agent.runtime.metric_files import INITIAL_BYTES, WholeMmapedDict, make_whole


def test_the_file_appears_with_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "gauge_livesum_slot0.db"
    sizes: list[int] = []
    rename = Path.rename

    def look(source: Path, target: Path) -> Path:
        assert not file.exists()
        renamed = rename(source, target)
        sizes.append(file.stat().st_size)
        return renamed

    monkeypatch.setattr(Path, "rename", look)
    written: Any = WholeMmapedDict(str(file))
    written.write_value("key", 3.0, 0.0)
    written.close()
    assert sizes == [INITIAL_BYTES]
    assert [value for _, value, _, _ in MmapedDict.read_all_values_from_file(str(file))] == [3.0]
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_is_there_keeps_what_it_holds(tmp_path: Path) -> None:
    file = tmp_path / "counter_slot0.db"
    for expected in (0.0, 1.0, 2.0):
        counted: Any = WholeMmapedDict(str(file))
        assert counted.read_value("key")[0] == expected
        counted.write_value("key", expected + 1, 0.0)
        counted.close()


def test_what_a_job_left_that_died_while_making_it_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "counter_slot0.db"
    (tmp_path / "counter_slot0.db.new").write_bytes(b"half")
    make_whole(file)
    assert file.read_bytes() == bytes(INITIAL_BYTES)
    assert list(tmp_path.iterdir()) == [file]


def test_it_can_be_replaced_by_an_empty_one_and_is_never_gone(tmp_path: Path) -> None:
    file = tmp_path / "gauge_livesum_slot0.db"
    file.write_bytes(b"of a job that died")
    make_whole(file, anew=True)
    assert file.read_bytes() == bytes(INITIAL_BYTES)


def test_its_room_is_taken_when_it_is_made_so_that_a_full_disk_raises_and_does_not_kill(
    tmp_path: Path,
) -> None:
    """With holes, the first value that found no room would end the process with SIGBUS."""
    file = tmp_path / "gauge_livesum_slot0.db"
    make_whole(file)
    assert file.stat().st_blocks * 512 >= INITIAL_BYTES


def test_a_file_that_grows_has_its_room_before_it_is_written(tmp_path: Path) -> None:
    """A hole on a disk that fills up would take the process's life (SIGBUS)."""
    written: Any = WholeMmapedDict(str(tmp_path / "counter_slot0.db"))
    for number in range(1_000):
        written.write_value(f"{number:0100}", float(number), 0.0)
    written.close()
    status = (tmp_path / "counter_slot0.db").stat()
    assert status.st_size == 2 * INITIAL_BYTES
    assert status.st_blocks * 512 >= status.st_size
    values = MmapedDict.read_all_values_from_file(str(tmp_path / "counter_slot0.db"))
    assert sum(value for _, value, _, _ in values) == sum(range(1_000))


def test_a_full_disk_is_an_error_that_names_the_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    written: Any = WholeMmapedDict(str(tmp_path / "counter_slot0.db"))
    monkeypatch.setattr(os, "posix_fallocate", full)
    written.write_value("0", 1.0, 0.0)
    with pytest.raises(OSError, match="PROMETHEUS_MULTIPROC_DIR: No space left"):
        written.write_value("1" * INITIAL_BYTES, 1.0, 0.0)
    written.write_value("0", 2.0, 0.0)  # what is there can still be counted
    written.close()
