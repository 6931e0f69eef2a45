"""Spool files: whole or not there at all, named so that nothing is misplaced, in a directory that keeps them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from agent.runtime.errors import SettingsError
from agent.runtime.settings import worker_settings
from agent.runtime.spool_files import Place, collection_of, identity, read, waiting


def test_a_full_disk_is_told_and_keeps_no_half_of_a_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)  # where a file system that allocates late says it
    place = Place(tmp_path, "agent")
    with pytest.raises(OSError, match="No space left"):
        place.write("transcripts", "1", "{}")
    assert list(place.own.iterdir()) == []


@pytest.mark.parametrize(
    "collection", ["calls", "agent.calls", "a.b.c", "per cent%2E", "slash/ed", "Ünïcode"]
)
@pytest.mark.parametrize("identifier", ["1", "plain", "with.dots", "../../etc/passwd", "x" * 300])
def test_a_name_says_where_its_document_belongs(tmp_path: Path, collection: str, identifier: str) -> None:
    place = Place(tmp_path, "a/b")
    file = place.write(collection, identifier, "{}")
    assert file.parent == place.own
    assert place.own.parent == tmp_path
    assert waiting(tmp_path, "a/b") == [file]
    assert waiting(tmp_path, "b") == []
    assert collection_of(file) == collection
    assert read(file) == "{}"


def test_a_shared_directory_has_one_identity(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    assert identity(tmp_path) == identity(tmp_path) != ""
    assert identity(tmp_path) != identity(tmp_path / "other")
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == [".spool"]


@pytest.mark.parametrize("inside", ["", "spool"])
def test_a_spool_that_livekit_would_empty_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: str
) -> None:
    monkeypatch.setenv("AGENT_SLOT_DIRECTORY", str(tmp_path / "slots"))
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "metrics"))
    monkeypatch.setenv("AGENT_SPOOL_DIRECTORY", str(tmp_path / "metrics" / inside))
    with pytest.raises(
        SettingsError, match=r"AGENT_SPOOL_DIRECTORY=.* is in PROMETHEUS_MULTIPROC_DIR, which LiveKit empties"
    ):
        worker_settings()


def test_a_spool_that_takes_no_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_SLOT_DIRECTORY", str(tmp_path / "slots"))
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "metrics"))
    monkeypatch.setenv("AGENT_SPOOL_DIRECTORY", "/proc/self")  # nobody writes there, not even root
    with pytest.raises(
        SettingsError, match="AGENT_SPOOL_DIRECTORY='/proc/self': nothing can be written there"
    ):
        worker_settings()
