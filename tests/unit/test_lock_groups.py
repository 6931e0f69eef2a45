"""Programs that come as Python packages, where this Python is not one that they are made for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from infra.supply import lock_groups
from infra.supply.errors import BuildError


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A uv that knows what `$FOUND` says, and makes what it is told to install with the Python it was given."""
    program = tmp_path / "uv"
    program.write_text(
        """#!/bin/sh
        if [ "$1" = python ]; then echo "$FOUND"; [ -n "$FOUND" ]; exit; fi
        mkdir -p "$UV_PROJECT_ENVIRONMENT/bin" "$UV_PROJECT_ENVIRONMENT/lib/python3/site-packages"
        ln -sf "$UV_PYTHON" "$UV_PROJECT_ENVIRONMENT/bin/python"
        """
    )
    program.chmod(0o755)
    monkeypatch.setenv("UV", str(program))
    monkeypatch.setattr(lock_groups, "THIS_PYTHON", (3, 14))
    return program


def test_an_older_python_is_taken_where_the_packages_need_one(
    uv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOUND", str(uv))
    assert lock_groups.interpreter("secantusdb", tmp_path / "cache").readlink() == uv
    assert lock_groups.interpreter("java", tmp_path / "cache").readlink() == Path(sys.executable)


@pytest.mark.usefixtures("uv")
def test_the_command_says_it_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("FOUND", "")
    assert lock_groups.main(["java", "secantusdb"]) == 1
    assert capsys.readouterr().err.startswith("not installed: secantusdb is not made for Python 3.14")


@pytest.mark.usefixtures("uv")
def test_what_to_install_is_said_where_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOUND", "")
    with pytest.raises(
        BuildError, match=r"is not made for Python 3\.14: have Python 3\.13 beside it \(Debian"
    ):
        lock_groups.interpreter("secantusdb", tmp_path / "cache")


def test_one_whose_python_was_removed_is_installed_anew(
    uv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOUND", str(uv))
    python = lock_groups.interpreter("secantusdb", tmp_path / "cache")
    python.unlink()
    python.symlink_to(tmp_path / "gone")
    assert lock_groups.interpreter("secantusdb", tmp_path / "cache").exists()
