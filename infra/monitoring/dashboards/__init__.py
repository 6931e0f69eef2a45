"""The dashboards, each defined once, for Grafana and for the local metrics UI."""

from infra.monitoring.dashboards.capacity import CAPACITY
from infra.monitoring.dashboards.connections import CONNECTIONS
from infra.monitoring.dashboards.jobs import JOBS
from infra.monitoring.dashboards.panel import Dashboard

DASHBOARDS: tuple[Dashboard, ...] = (CONNECTIONS, JOBS, CAPACITY)
