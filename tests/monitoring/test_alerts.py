"""Each alert is not there yet, fires with its text, and resolves: on Prometheus's own engine, by promtool."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from infra.monitoring.rules import RUNBOOKS, alert_files, read
from infra.supply.binaries import binary
from tests.monitoring.rules import HERE, write_rules

TESTS = HERE / "alerts"
NODES = HERE / "nodes"
GROWTH = HERE / "growth"
NAMES = [file.stem for file in alert_files()]


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([binary("promtool"), *arguments], capture_output=True, text=True, check=False)


def test_the_rules_are_what_prometheus_reads(tmp_path: Path) -> None:
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", write_rules(tmp_path))
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_an_alert_is_not_there_yet_then_fires_then_resolves(name: str, tmp_path: Path) -> None:
    write_rules(tmp_path)
    done = promtool("test", "rules", shutil.copy(TESTS / f"{name}.yaml", tmp_path))
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.mark.parametrize("case", ["three-members", "redis-replicas"])
def test_a_datastore_of_several_nodes_is_compared_node_by_node_or_as_a_whole(
    case: str, tmp_path: Path
) -> None:
    write_rules(tmp_path, NODES / "stack.yaml")
    done = promtool("test", "rules", shutil.copy(NODES / f"{case}.yaml", tmp_path))
    assert done.returncode == 0, done.stderr + done.stdout


def test_growth_says_how_many_days_are_left(tmp_path: Path) -> None:
    write_rules(tmp_path)
    done = promtool("test", "rules", shutil.copy(GROWTH / "days-to-a-limit.yaml", tmp_path))
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_each_form_of_a_test_is_there(name: str) -> None:
    (test,) = YAML(typ="safe").load(TESTS / f"{name}.yaml")["tests"]
    not_yet, fires, resolves = test["alert_rule_test"]
    assert {each["alertname"] for each in (not_yet, fires, resolves)} == {name}
    assert "exp_alerts" not in not_yet
    assert "exp_alerts" not in resolves
    assert len(fires["exp_alerts"]) == 1


@pytest.mark.parametrize("name", NAMES)
def test_an_alert_is_named_as_its_file_and_holds_no_number_of_the_budget(name: str) -> None:
    alert = read(next(file for file in alert_files() if file.stem == name))
    assert alert["alert"] == name
    assert alert["labels"]["severity"] in ("warning", "critical")
    assert set(alert["annotations"]) == {"summary", "description"}
    compared = alert["expr"].split("on (")[0].rpartition(">")[2] if "agent_budget:" in alert["expr"] else ""
    assert not any(character.isdigit() for character in compared)


@pytest.mark.parametrize("name", NAMES)
def test_minutes_that_an_alert_tells_of_are_those_that_it_waits_or_looks_back(name: str) -> None:
    alert = read(next(file for file in alert_files() if file.stem == name))
    told = set(re.findall(r"(\d+) minutes", " ".join(alert["annotations"].values())))
    # Its `for`, and the window in the name of what it compares: agent:close_failures:increase5m.
    known = re.findall(r"(\d+)m\b", f"{alert.get('for', '')} {alert['expr']}")
    assert told <= set(known)
    page = (RUNBOOKS / f"{name}.md").read_text().partition("<!-- /figures -->")[2]
    assert re.findall(r"\w+ minutes", page) == []


def test_no_test_and_no_runbook_is_of_an_alert_that_is_gone() -> None:
    assert sorted(file.stem for file in TESTS.glob("*.yaml")) == NAMES
    assert sorted(file.stem for file in RUNBOOKS.glob("*.md") if file.stem != "README") == NAMES
