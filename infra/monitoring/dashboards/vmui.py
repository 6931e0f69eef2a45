"""A dashboard as the local metrics UI reads it (VictoriaMetrics' vmui, `-vmui.customDashboardsPath`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from infra.monitoring.dashboards.panel import Dashboard, Unit

VMUI_DIRECTORY = Path(__file__).parents[1] / "vmui"  # generated: python -m infra.monitoring write
COLUMNS = 12
FLEETS = 'fleet!=""'
UNITS: dict[Unit, str] = {"short": "", "s": "s", "d": "days", "percentunit": "of 1"}


def vmui(dashboard: Dashboard) -> dict[str, Any]:
    """The dashboard, with every fleet that is scraped: here there is one."""
    return {
        "title": dashboard.title.removeprefix("Agents: ").capitalize(),
        "rows": [
            {
                "title": row.title,
                "panels": [
                    {
                        "title": panel.title,
                        "description": panel.description,
                        "unit": UNITS[panel.unit],
                        "expr": [query.of(FLEETS) for query in panel.queries],
                        "alias": [query.legend for query in panel.queries],
                        "showLegend": True,
                        "width": panel.width * COLUMNS // 24,
                    }
                    for panel in row.panels
                ],
            }
            for row in dashboard.rows
        ],
    }
