"""What the README tells people to copy and to type works."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from agent.runtime import LifespanServer, metrics, settings

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def ten_lines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """The first block, executed as a developer's module."""
    monkeypatch.setenv("AGENT_SLOT_DIRECTORY", str(tmp_path / "slots"))
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "metrics"))
    monkeypatch.setenv("AGENT_SPOOL_DIRECTORY", str(tmp_path / "spool"))
    monkeypatch.setattr(metrics, "install", lambda: None)  # it is for a process's life
    module: dict[str, Any] = {}
    exec(blocks("python")[0], module)
    return module


def test_the_ten_lines_make_a_server(ten_lines: dict[str, Any]) -> None:
    assert isinstance(ten_lines["server"], LifespanServer)
    assert list(inspect.signature(ten_lines["entrypoint"]).parameters) == ["ctx", "state"]


def test_every_other_block_is_python_that_imports() -> None:
    for block in blocks("python")[1:]:
        exec(block, {})


def test_every_make_target_it_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`?make ([a-z]+)", "\n".join(blocks("console")))) <= targets


def test_every_metric_and_variable_it_names_exists() -> None:
    exported = {metric._name for metric in vars(metrics).values() if hasattr(metric, "_labelnames")}
    named = set(re.findall(r"`(agent_[a-z_]+?)(?:_total)?(?:\{[a-z,]+\})?`", README))
    assert named <= exported
    assert exported - named == {"agent_datastore_close_duration_seconds"}  # abbreviated in its row
    source = inspect.getsource(settings)
    for variable in re.findall(r"`((?:AGENT|MONGODB|REDIS|TRANSCRIPT)_[A-Z_]+)", README):
        known = f'"{variable}"' in source or variable in ("AGENT_STT", "AGENT_LLM", "AGENT_TTS")
        assert known, f"{variable} is no setting"
