"""Dashboards are what their definitions say, valid by Grafana's own schema, and say enough of themselves."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from infra.monitoring.__main__ import generated, main
from infra.monitoring.dashboards import DASHBOARDS
from infra.monitoring.dashboards.grafana import grafana
from infra.monitoring.dashboards.panel import Dashboard, Panel
from infra.monitoring.dashboards.vmui import vmui
from infra.monitoring.rules import CHART
from infra.supply.binaries import binary

PANELS = [pytest.param(panel, id=panel.title) for dashboard in DASHBOARDS for panel in dashboard.panels]


def schema_says(*files: Path) -> str:
    done = subprocess.run([binary("grafana-schema"), *files], capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == (done.stderr == "")
    return done.stderr


def test_dashboards_are_valid_by_grafanas_schema() -> None:
    assert schema_says(*sorted((CHART / "dashboards").glob("*.json"))) == ""


def test_the_schema_is_strict_down_to_queries_and_options(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.json"
    dashboard = grafana(DASHBOARDS[0])
    dashboard["panels"][1]["targets"][0]["expression"] = "up"
    dashboard["panels"][1]["options"]["legend"].pop("placement")
    wrong.write_text(json.dumps(dashboard))
    said = schema_says(wrong)
    assert "panels[1].targets[0].Dataquery: unexpected field 'expression'" in said
    assert "panels[1].options.legend.placement: required field is missing" in said


def test_what_is_generated_is_what_its_source_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 0, capsys.readouterr().err


def test_a_file_that_was_edited_by_hand_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, text = next(iter(generated().items()))
    monkeypatch.setattr("infra.monitoring.__main__.generated", lambda: {path: text + "edited"})
    assert main(["check"]) == 1
    assert f"{path.name} is not what its source says: run `make docs`" in capsys.readouterr().err


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_says_what_to_look_for_and_shows_chosen_fleets_alone(panel: Panel) -> None:
    assert panel.description.endswith(".")
    assert len(panel.description) > 20
    for query in panel.queries:
        selectors = re.findall(
            r"(?:agent|redis|mongodb)[\w:]*(?:\{[^}]*\})?", re.sub(r"by \([^)]*\)", "", query.expr)
        )
        assert selectors
        assert all("{$fleet" in selector for selector in selectors), query.expr
    assert set(panel.limits) <= {query.legend for query in panel.queries}


def test_the_report_of_executed_panels_has_every_query_with_its_series() -> None:
    queries = [
        (dashboard.name, panel.title, query.expr)
        for dashboard in DASHBOARDS
        for panel in dashboard.panels
        for query in panel.queries
    ]
    report = (CHART / "PANELS.md").read_text()
    shown = re.findall(r"^\| (agent-\w+) \| (.+?) \| `(.+)` \| ([1-9]\d*) \|$", report, re.MULTILINE)
    assert [(name, title, expr) for name, title, expr, _ in shown] == queries, "run it as PANELS.md says"
    assert f"\n{len(queries)} of {len(queries)} queries returned series.\n" in report


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.name)
def test_both_forms_show_the_same_panels(dashboard: Dashboard) -> None:
    titles = [panel.title for panel in dashboard.panels]
    assert len(titles) == len(set(titles))
    assert [p["title"] for p in grafana(dashboard)["panels"] if p["type"] != "row"] == titles
    assert [p["title"] for row in vmui(dashboard)["rows"] for p in row["panels"]] == titles
    for panel in grafana(dashboard)["panels"]:
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
