"""Within one sweep the main process takes a dead job out of the gauges and counts it, once."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from agent.runtime import metrics, sweeper
from agent.runtime.scope import Scope
from agent.runtime.settings import WorkerSettings
from agent.runtime.sweeper import Sweeper


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """What is counted as killed, without a file behind it."""
    outcomes: Counter[str] = Counter()

    class Jobs:
        def labels(self, outcome: str, _: str) -> Jobs:
            self._outcome = outcome
            return self

        def inc(self) -> None:
            outcomes[self._outcome] += 1

    monkeypatch.setattr(metrics, "JOBS", Jobs())
    return outcomes


async def test_a_dead_jobs_gauges_go_and_it_is_counted_once(
    tmp_path: Path, counted: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "metrics"))
    for name in ("slots", "metrics"):
        (tmp_path / name).mkdir()
    settings = WorkerSettings.from_environment(
        {
            "AGENT_SLOTS": "12",
            "AGENT_SLOT_DIRECTORY": str(tmp_path / "slots"),
            "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics"),
            "AGENT_SPOOL_DIRECTORY": str(tmp_path / "spool"),
        }
    )
    dead = tmp_path / "metrics/gauge_livesum_slot1.db"
    other = tmp_path / "metrics/counter_slot1.db"
    gone = tmp_path / "metrics/counter_unowned-999999999.db"
    living = tmp_path / f"metrics/counter_unowned-{os.getpid()}.db"
    for file in (dead, other, gone, living):
        file.touch()
    sweep = Sweeper(settings, Scope("worker", 1.0), state=lambda: "serving")
    sweep.sweep()
    sweep.sweep()
    assert counted == {"killed": 1}
    assert not dead.exists()
    assert other.exists(), "counters of the dead stay"
    assert not gone.exists()
    assert living.exists()
    assert sweeper.INTERVAL_SECONDS <= 5.0
