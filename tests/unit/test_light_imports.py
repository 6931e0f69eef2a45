"""A backend that opens datastores and places calls does not import LiveKit's agents: seconds, and 80 MiB."""

from __future__ import annotations

import subprocess
import sys

import pytest

from agent import runtime

WITHOUT_LIVEKITS_AGENTS = """
import importlib, sys
sys.modules["livekit.agents"] = None  # an import of it fails
for module in sys.argv[1:]:
    try:
        importlib.import_module(module)
    except ImportError as error:
        print(f"{module}: {error}")
"""
LIGHT = (
    "agent.runtime",
    "agent.runtime.app",
    "agent.runtime.dispatch",
    "agent.runtime.watch",
    "agent.runtime.datastores.together",
    "agent.runtime.datastores.mongodb",
    "agent.runtime.datastores.redis",
    "agent.models",
    "agent.__main__",
)


@pytest.fixture(scope="module")
def heavy() -> str:
    """Those that need them, a line each, asked of one process: an interpreter for each would take seconds more."""
    command = [sys.executable, "-c", WITHOUT_LIVEKITS_AGENTS, *LIGHT]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.mark.parametrize("module", LIGHT)
def test_it_is_imported_without_livekits_agents(module: str, heavy: str) -> None:
    assert [line for line in heavy.splitlines() if line.startswith(f"{module}:")] == []


def test_what_stands_on_them_is_there_when_it_is_asked_for() -> None:
    assert [getattr(runtime, name).__name__ for name in ("LifespanServer", "takeover_of")] == [
        "LifespanServer",
        "takeover_of",
    ]
    with pytest.raises(AttributeError, match="no attribute 'LifespanServers'"):
        runtime.LifespanServers  # noqa: B018
