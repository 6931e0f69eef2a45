"""`python -m infra.budget`: what it prints, and with which status it exits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.report.command import main

ROOT = Path(__file__).parents[2]
PRODUCTION = ROOT / "infra" / "Pulumi.production.yaml"
LOCAL = ROOT / "infra" / "Pulumi.local.yaml"


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")


def stack(directory: Path, text: str) -> str:
    path = directory / "Pulumi.test.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


PYMONGO_DEFAULTS = """
config:
  agent-datastores:fleet: {jobs: 250, slots: 25, max_call_seconds: 600}
  agent-datastores:mongodb: {plan: atlas-m20, pool: 100, monitoring: stream}
"""


@pytest.mark.usefixtures("wide")
def test_the_production_example_shows_where_every_connection_goes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(PRODUCTION)]) == 0
    text = capsys.readouterr().out
    assert "20 workers × 25 slots × 3  = 1 500" in text
    assert "smallest plan for 1 593: atlas-m20 (3 000)" in text
    assert "fast, surge 3" in text
    assert "strict, surge 3" in text
    assert "It fits." in text


@pytest.mark.usefixtures("wide")
def test_what_does_not_fit_is_refused_with_changes_that_would(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([stack(tmp_path, PYMONGO_DEFAULTS)]) == 1
    text = capsys.readouterr().out
    assert "20 workers × 25 slots × 102" in text
    assert "It does not fit: MongoDB by 48 090 connections too many." in text
    assert "- mongodb.pool: 3" in text
    assert "- mongodb.plan: atlas-m80" in text


def test_json_is_the_solution_and_what_would_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(LOCAL), "--json"]) == 0
    solution = json.loads(capsys.readouterr().out)
    assert solution["fits"] is True
    assert solution["fleet"]["workers_at_peak"] == 4
    assert solution["datastores"]["redis"]["server"]["maxclients"] == solution["datastores"]["redis"]["total"]
    assert solution["suggestions"] == []
    assert main([stack(tmp_path, PYMONGO_DEFAULTS), "--json"]) == 1
    refused = json.loads(capsys.readouterr().out)
    assert refused["fits"] is False
    assert refused["suggestions"][0]["changes"] == {"mongodb.pool": 3}


def test_bad_input_is_one_line_a_problem_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = stack(tmp_path, "config:\n  agent-datastores:fleet: {jobs: 0, slots: 25}\n")
    assert main([path]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.splitlines() == [
        f"{path}: agent-datastores:fleet.jobs: got 0; accepted: a whole number from 1 to 1000000",
        f"{path}: agent-datastores:fleet.max_call_seconds: missing; accepted: a whole number from 1 to 43200",
    ]


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 200])
def test_it_prints_at_any_width(
    columns: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main([str(PRODUCTION)]) == 0
    assert main([stack(tmp_path, PYMONGO_DEFAULTS)]) == 1
    assert max(map(len, capsys.readouterr().out.splitlines())) <= columns


def test_as_a_command_on_a_terminal_that_knows_ascii_only() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, "-m", "infra.budget", str(PRODUCTION)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0
    assert done.stderr == b""
    assert b"20 workers ? 25 slots ? 3" in done.stdout


def test_usage_errors_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 2
    assert "FILE" in capsys.readouterr().err
