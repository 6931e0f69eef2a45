"""A worker that would lose calls later does not start, and says which number would do."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from livekit.agents import JobExecutorType
from livekit.agents.cli.cli import AgentsConsole

from agent.runtime import start_checks
from agent.runtime.errors import SettingsError
from agent.runtime.settings import WorkerSettings


@pytest.fixture
def settings(tmp_path: Path) -> WorkerSettings:
    directories = ("AGENT_SLOT_DIRECTORY", "PROMETHEUS_MULTIPROC_DIR", "AGENT_SPOOL_DIRECTORY")
    return WorkerSettings.from_environment(
        {"AGENT_SLOTS": "8", **{name: str(tmp_path / name) for name in directories}}
    )


def test_jobs_as_threads_are_refused_outside_the_console(
    settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match="THREAD: accepted: PROCESS"):
        start_checks.check(settings, JobExecutorType.THREAD)
    monkeypatch.setattr(AgentsConsole.get_instance(), "enabled", True)
    start_checks.check(settings, JobExecutorType.THREAD)


@pytest.mark.parametrize(("limit", "enough"), [(64, False), (172, False), (173, True), (-1, True)])
def test_open_files_are_compared_with_the_slots(
    settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch, limit: int, enough: bool
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    if enough:
        start_checks.check(settings, JobExecutorType.PROCESS)
        return
    with pytest.raises(SettingsError, match=f"RLIMIT_NOFILE={limit} .* at least 173 for AGENT_SLOTS=8"):
        start_checks.check(settings, JobExecutorType.PROCESS)
