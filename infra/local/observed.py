"""A stack that is watched: its servers are counted, and the rules of charts/monitoring run against its budget."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from infra.handoff.series import Series
from infra.local.exporter import exporter
from infra.local.servers import vmalert
from infra.local.servers.metrics_store import FLEET
from infra.local.servers.vmalert import VmAlert
from infra.local.stack import Stack
from infra.monitoring.rules import rule_file

QUERY_SECONDS = 5.0


@dataclass(frozen=True)
class Observed:
    """The stack's metrics and alerts, asked for over HTTP as a dashboard does."""

    stack: Stack
    alerts: VmAlert

    async def series(self, expr: str, *, seconds: int) -> list[dict[str, str]]:
        """The labels of the series that PromQL returns at some moment of the last so many seconds, as in a graph.

        Raises:
            LookupError: the store does not understand the query; the message is the store's.
        """
        asked = {"query": expr, "start": f"-{seconds}s", "step": "2s"}
        answer = await self._get(f"{self.stack.metrics.url}/api/v1/query_range", asked)
        if answer["status"] != "success":
            raise LookupError(f"{expr}: {answer.get('error')}")
        return [
            series["metric"]
            for series in answer["data"]["result"]
            if any(math.isfinite(float(value)) for _, value in series["values"])
        ]

    async def firing(self) -> dict[str, dict[str, str]]:
        """Alerts that fire now, by name: the labels of one of each."""
        answer = await self._get(f"{self.alerts.url}/api/v1/alerts", {})
        return {
            alert["labels"]["alertname"]: alert["labels"]
            for alert in answer["data"]["alerts"]
            if alert["state"] == "firing"
        }

    async def _get(self, url: str, parameters: dict[str, str]) -> Any:
        timeout = aiohttp.ClientTimeout(total=QUERY_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, params=parameters) as response,
        ):
            return await response.json()


@asynccontextmanager
async def observed(
    stack: Stack, series: Iterable[Series], *, at_once: bool = False
) -> AsyncIterator[Observed]:
    """Watch a stack until left; the stack's run stops the processes.

    Args:
        series: the budget, as `infra.handoff.series.budget_series` has it.
        at_once: alerts fire without their `for`; for tests.
    """
    async with exporter(stack) as port:
        stack.metrics.scrape_servers(port, stack.kernel.endpoints)
        rules = rule_file(series, FLEET, at_once=at_once)
        yield Observed(stack, await vmalert.start(stack.run, stack.metrics, rules))
