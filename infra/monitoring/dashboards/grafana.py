"""A dashboard as Grafana's JSON (schema version 41, Grafana 12; later versions migrate it as they read it)."""

from __future__ import annotations

from typing import Any

from infra.monitoring.dashboards.panel import Dashboard, Panel

SCHEMA_VERSION = 41
COLUMNS, HEIGHT, ROW_HEIGHT = 24, 8, 1
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
FLEETS = 'fleet=~"$fleet"'


def grafana(dashboard: Dashboard) -> dict[str, Any]:
    """The dashboard, with a choice of data source and of fleets."""
    return {
        "uid": dashboard.name,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": ["agent-datastores"],
        "timezone": "browser",
        "editable": False,
        "graphTooltip": 1,
        "schemaVersion": SCHEMA_VERSION,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": _variables()},
        "annotations": {"list": []},
        "panels": _panels(dashboard),
    }


def _variables() -> list[dict[str, Any]]:
    return [
        {
            "type": "datasource",
            "name": "datasource",
            "label": "Data source",
            "query": "prometheus",
            "hide": 0,
            "skipUrlSync": False,
        },
        {
            "type": "query",
            "name": "fleet",
            "label": "Fleet",
            "datasource": DATASOURCE,
            "query": "label_values(agent_budget:jobs, fleet)",
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "allValue": ".+",
            "hide": 0,
            "skipUrlSync": False,
            "current": {"text": ["All"], "value": ["$__all"]},
        },
    ]


def _panels(dashboard: Dashboard) -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = []
    top = 0
    for row in dashboard.rows:
        place = {"x": 0, "y": top, "w": COLUMNS, "h": ROW_HEIGHT}
        panels.append(
            {
                "type": "row",
                "title": row.title,
                "id": len(panels) + 1,
                "collapsed": False,
                "gridPos": place,
                "panels": [],
            }
        )
        left, top = 0, top + ROW_HEIGHT
        for panel in row.panels:
            if left + panel.width > COLUMNS:
                left, top = 0, top + HEIGHT
            place = {"x": left, "y": top, "w": panel.width, "h": HEIGHT}
            panels.append(_panel(panel) | {"id": len(panels) + 1, "gridPos": place})
            left += panel.width
        top += HEIGHT
    return panels


def _panel(panel: Panel) -> dict[str, Any]:
    return {
        "type": "timeseries",
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": DATASOURCE,
                "expr": query.of(FLEETS),
                "legendFormat": query.legend,
                "range": True,
                "instant": False,
            }
            for number, query in enumerate(panel.queries)
        ],
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "custom": {
                    "fillOpacity": 20 if panel.stacked else 0,
                    "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
                },
            },
            "overrides": [
                _dashed(chr(ord("A") + number))
                for number, query in enumerate(panel.queries)
                if query.legend in panel.limits
            ],
        },
    }


def _dashed(query: str) -> dict[str, Any]:
    line = {"fill": "dash", "dash": [10, 10]}
    return {
        "matcher": {"id": "byFrameRefID", "options": query},
        "properties": [
            {"id": "custom.lineStyle", "value": line},
            {"id": "custom.stacking", "value": {"mode": "none"}},
        ],
    }
