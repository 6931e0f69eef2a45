"""A spool file is there whole or not at all, on a full disk as well."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from agent.runtime.datastores import mongodb_spool


def test_a_full_disk_is_told_and_keeps_no_half_of_a_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)  # where a file system that allocates late says it
    with pytest.raises(OSError, match="No space left"):
        mongodb_spool._write(tmp_path, "transcripts", {"_id": 1})
    assert list(tmp_path.iterdir()) == []
