"""What a wrong environment variable says, and that a secret is never part of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.runtime.errors import SettingsError
from agent.runtime.settings import (
    MongoDBSettings,
    RedisSettings,
    WorkerSettings,
    connection_budgets,
    worker_settings,
)

DIRECTORIES = {
    "AGENT_SLOT_DIRECTORY": "/slots",
    "PROMETHEUS_MULTIPROC_DIR": "/metrics",
    "AGENT_SPOOL_DIRECTORY": "/spool",
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AGENT_SLOTS", "0"),
        ("AGENT_SLOTS", "-1"),
        ("AGENT_SLOTS", "two"),
        ("AGENT_SLOTS", "nan"),
        ("AGENT_SLOTS", "1e9"),
        ("AGENT_MAX_CALL_SECONDS", "inf"),
        ("AGENT_MAX_CALL_SECONDS", "0"),
        ("AGENT_HTTP_PORT", "65536"),
        ("AGENT_CLOSE_TIMEOUT_SECONDS", "10"),
        ("TRANSCRIPT_RETENTION_DAYS", "forever"),
    ],
)
def test_a_refused_value_is_named_with_its_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{name}='{value}': Input should be"):
        WorkerSettings.from_environment({**DIRECTORIES, name: value})


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as error:
        WorkerSettings.from_environment({**DIRECTORIES, "AGENT_SLOTS": "x", "AGENT_IDLE_PROCESSES": "y"})
    assert "AGENT_SLOTS" in str(error.value)
    assert "AGENT_IDLE_PROCESSES" in str(error.value)


@pytest.mark.parametrize("settings", [MongoDBSettings, RedisSettings])
def test_a_secret_is_never_told(settings: type[MongoDBSettings | RedisSettings]) -> None:
    name = "MONGODB_URL" if settings is MongoDBSettings else "REDIS_URL"
    with pytest.raises(SettingsError, match=rf"{name}=\(hidden\): accepted: a URL that begins with") as error:
        settings.from_environment({name: "http://user:hunter2@host"})
    assert "hunter2" not in str(error.value)
    with pytest.raises(SettingsError, match=f"{name} is not set"):
        settings.from_environment({name: ""})


def test_an_accepted_secret_is_not_in_the_representation() -> None:
    settings = RedisSettings.from_environment({"REDIS_URL": "redis://:hunter2@host"})
    assert "hunter2" not in repr(settings)


def test_directories_are_made_and_handed_on_to_job_processes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AGENT_SLOT_DIRECTORY", raising=False)
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    monkeypatch.delenv("AGENT_SPOOL_DIRECTORY", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    first = worker_settings()
    assert first.slot_directory.is_dir()
    assert first.metrics_directory.is_dir()
    assert first.spool_directory.is_dir()
    assert worker_settings() == first


def test_one_directory_for_both_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AGENT_SLOT_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    with pytest.raises(SettingsError, match="accepted: two directories"):
        worker_settings()


def test_a_close_that_livekit_would_kill_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AGENT_SLOT_DIRECTORY", str(tmp_path / "slots"))
    monkeypatch.setenv("AGENT_SHUTDOWN_CALLBACKS_SECONDS", "12")
    with pytest.raises(SettingsError, match="AGENT_SHUTDOWN_PROCESS_TIMEOUT_SECONDS=20: accepted: more than"):
        worker_settings()


def test_budgets_are_read_for_any_datastore(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_CONNECTIONS_PER_WORKER", "12")
    assert connection_budgets()["postgres"] == 12
    monkeypatch.setenv("POSTGRES_CONNECTIONS_PER_WORKER", "-1")
    with pytest.raises(SettingsError, match="POSTGRES_CONNECTIONS_PER_WORKER='-1': accepted: a whole number"):
        connection_budgets()
