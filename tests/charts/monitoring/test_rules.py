"""The chart's rules are those that promtool tests and that run on this machine, whoever reads them."""

from __future__ import annotations

import functools
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from infra.budget.capacity import capacity
from infra.config import load_config
from infra.handoff.series import budget_series
from infra.monitoring.rules import CHART, rule_file
from infra.supply.binaries import binary
from tests.charts.render import NAMESPACE, STACKS, Refused, render_chart, render_one, solved

PLAIN = {"mode": "plain"}


@functools.cache
def expected() -> list[dict[str, Any]]:
    """The rules of the production stack, by the function that this machine and promtool's tests use."""
    rooms = capacity(load_config(STACKS / "Pulumi.production.yaml"))
    groups: list[dict[str, Any]] = rule_file(budget_series(solved(), rooms), NAMESPACE)["groups"]
    return groups


def plain_files(directory: Path) -> Path:
    """What the ConfigMap holds, as the files that it is mounted as."""
    data = next(
        item["data"] for item in render_chart("monitoring", PLAIN) if "rules.yaml" in item.get("data", {})
    )
    for name, text in data.items():
        (directory / name).write_text(text)
    return directory


def test_the_prometheus_rule_holds_the_rules_that_are_tested() -> None:
    spec = render_one("monitoring", "PrometheusRule")["spec"]
    assert spec["groups"] == [group | {"interval": "15s"} for group in expected()]


def test_the_plain_rule_file_holds_the_rules_that_are_tested(tmp_path: Path) -> None:
    groups = YAML(typ="safe").load(plain_files(tmp_path) / "rules.yaml")["groups"]
    assert groups == [group | {"interval": "15s"} for group in expected()]


def test_prometheus_reads_the_plain_files(tmp_path: Path) -> None:
    config = plain_files(tmp_path) / "prometheus.yml"
    config.write_text(json.dumps({"rule_files": ["rules.yaml"], "scrape_config_files": ["scrape.yaml"]}))
    reads([binary("promtool"), "check", "config", "--lint=all", "--lint-fatal", config])


def test_victoriametrics_reads_the_plain_files(tmp_path: Path) -> None:
    files = plain_files(tmp_path)
    strict = "-promscrape.config.strictParse"
    reads([binary("victoria-metrics"), "-dryRun", strict, f"-promscrape.config={files / 'scrape.yaml'}"])
    reads([binary("vmalert"), "-dryRun", f"-rule={files / 'rules.yaml'}"])


def reads(command: list[str | Path]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_are_left_out_labelled_and_told_where_their_pages_are() -> None:
    values = {
        "rules": {
            "disabled": ["AgentRestartStorm"],
            "alertLabels": {"team": "voice", "severity": "page"},
            "runbooks": "https://runbooks.example.com/agents/",
        }
    }
    (group,) = render_one("monitoring", "PrometheusRule", values)["spec"]["groups"]
    alerts = {rule["alert"]: rule for rule in group["rules"] if "alert" in rule}
    assert {file.stem for file in (CHART / "alerts").glob("*.yaml")} - set(alerts) == {"AgentRestartStorm"}
    ghost = alerts["AgentConnectionsGhost"]
    assert ghost["labels"] == {"severity": "warning", "team": "voice"}  # the alert's own severity stays
    page = "https://runbooks.example.com/agents/AgentConnectionsGhost.md"
    assert ghost["annotations"]["runbook_url"] == page


def test_every_dashboard_is_a_config_map_that_the_sidecar_finds() -> None:
    shown = {
        name: text
        for item in render_chart("monitoring")
        if item["kind"] == "ConfigMap" and item["metadata"]["labels"].get("grafana_dashboard") == "1"
        for name, text in item["data"].items()
    }
    files = {file.name: json.loads(file.read_text()) for file in (CHART / "dashboards").glob("*.json")}
    assert {name: json.loads(text) for name, text in shown.items()} == files


def test_a_name_that_is_no_alert_is_refused() -> None:
    with pytest.raises(Refused, match=r"rules.disabled names AgentNothing, which is no alert"):
        render_chart("monitoring", {"rules": {"disabled": ["AgentNothing"]}})
