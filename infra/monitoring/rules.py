"""The chart's rules, one alert a file, put together as one Prometheus rule file for this machine and for tests."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from infra.handoff.series import Series

CHART = Path(__file__).resolve().parents[2] / "charts" / "monitoring"
GROUP = "agent-datastores"
RULES, ALERTS, RUNBOOKS = CHART / "rules", CHART / "alerts", CHART / "runbooks"


def alert_files() -> list[Path]:
    return sorted(ALERTS.glob("*.yaml"))


def read(file: Path) -> Any:
    return YAML(typ="safe").load(file)


def rule_file(series: Iterable[Series], fleet: str, *, at_once: bool = False) -> dict[str, Any]:
    """A rule file as Prometheus, vmalert and promtool read it (JSON is YAML).

    Args:
        fleet: the `fleet` label of what is scraped.
        at_once: every alert without its `for`: to see one fire, not to live with.
    """
    # One group: its rules are evaluated in this order at one moment, so an alert sees what was recorded just before.
    rules = [one.as_rule(fleet) for one in series]
    rules += [rule for file in sorted(RULES.glob("*.yaml")) for rule in read(file)]
    rules += [_alert(file, at_once=at_once) for file in alert_files()]
    return {"groups": [{"name": GROUP, "rules": rules}]}


def _alert(file: Path, *, at_once: bool) -> dict[str, Any]:
    alert: dict[str, Any] = read(file)
    # As templates/rules.yaml adds it; on this machine the page is a file.
    alert["annotations"]["runbook_url"] = f"charts/monitoring/runbooks/{alert['alert']}.md"
    if at_once:
        alert.pop("for", None)
    return alert
