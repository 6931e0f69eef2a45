"""Every panel of every dashboard shows something: its queries are executed on what a live run left.

With PANELS_DOCS=charts/monitoring the report and the pictures are kept there, beside the README that shows them.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from infra.budget import solve
from infra.budget.capacity import capacity
from infra.config import apply_overrides, load_config
from infra.handoff.series import budget_series
from infra.local import stack as stacks
from infra.local.__main__ import STACK_FILE
from infra.local.caller import Caller, Outcome
from infra.local.eventually import beside, eventually, together
from infra.local.observed import Observed, observed
from infra.local.run import Run
from infra.local.servers.metrics_store import FLEET
from infra.local.stack import Stack
from infra.monitoring.dashboards import DASHBOARDS
from infra.monitoring.dashboards.panel import Dashboard
from infra.monitoring.dashboards.vmui import vmui
from tests.integration.browser import Page, browser

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(400),
    pytest.mark.asyncio(loop_scope="module"),
]

RUN_SECONDS = 240
REPORT = """\
# What the panels' queries returned

Written by `PANELS_DOCS=charts/monitoring make test ARGS=tests/integration/test_panels.py`: each query was executed on
what a live run of two slots left in VictoriaMetrics; `make check` fails when a panel has a query that is not here.

{returned} of {queries} queries returned series.

| dashboard | panel | query | series |
|---|---|---|---:|
{rows}
"""


def silent(_: str) -> None:
    pass


async def live_run(stack: Stack, watched: Observed) -> None:
    """A call by itself, then calls on every slot, and a worker that drains under one of them."""
    (worker,) = stack.workers.values()

    async def seen(expr: str) -> None:
        async def there() -> bool:
            return bool(await watched.series(expr, seconds=60))

        await eventually(there, within=60, every=0.5, what=expr)

    staying = Caller(stack.line, "staying", ["Hello?"], pause_seconds=0.5)
    staying.stays_until = asyncio.Event()
    first, other = (Caller(stack.line, room, ["Hello?"], pause_seconds=0) for room in ("first", "other"))
    async with stack.line.api() as livekit:

        async def drain() -> None:
            assert staying.stays_until is not None
            await eventually(
                lambda: staying.talking and other.released.is_set(), within=60, what="one call left of two"
            )
            worker.process.terminate()
            await seen("agent:drain_seconds > 0")
            staying.stays_until.set()

        await seen("agent:slots > 0")
        results = [await first.call(livekit)]
        await seen("agent_jobs_total")
        results += await beside(drain(), together([staying.call(livekit), other.call(livekit)]))
    assert [result.outcome for result in results] == [Outcome.ANSWERED] * 3
    # What is recorded from what was recorded comes last.
    await seen("agent:days_to_the_limit")
    await seen("agent:open_seconds:p95_5m")


async def shown(watched: Observed) -> list[tuple[str, str, str, int]]:
    """Dashboard, panel, query and how many series it returned."""
    return [
        (
            dashboard.name,
            panel.title,
            query.expr,
            len(await watched.series(query.of(f'fleet="{FLEET}"'), seconds=RUN_SECONDS)),
        )
        for dashboard in DASHBOARDS
        for panel in dashboard.panels
        for query in panel.queries
    ]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def watched(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Observed]:
    """A small stack after a live run, still up."""
    config = apply_overrides(load_config(STACK_FILE), {"fleet.slots": 2, "fleet.jobs": 2})
    solution = solve(config)
    async with (
        Run("test-panels", tmp_path_factory.mktemp("panels")) as run,
        stacks.running(run, solution, workers=1, say=silent) as stack,
        observed(stack, budget_series(solution, capacity(config))) as watched,
    ):
        await live_run(stack, watched)
        yield watched


async def test_every_query_of_every_panel_returns_series(watched: Observed) -> None:
    rows = await shown(watched)
    returned = sum(1 for *_, count in rows if count)
    rows_shown = "\n".join(f"| {name} | {title} | `{expr}` | {count} |" for name, title, expr, count in rows)
    report = REPORT.format(returned=returned, queries=len(rows), rows=rows_shown)
    for directory in kept_in(watched):
        (directory / "PANELS.md").write_text(report)
    print(f"{returned} of {len(rows)} queries returned series: {watched.stack.run.output}/PANELS.md")
    assert [row for row in rows if not row[-1]] == []


async def test_the_local_dashboards_open_in_a_browser(watched: Observed) -> None:
    output = watched.stack.run.output
    # Graphs below the window's end are not drawn.
    async with browser(output / "logs" / "chromium.log", width=1400, height=6000) as page:
        await page.open(watched.stack.metrics.dashboards)
        await eventually(
            partial(open_tab_is, page, DASHBOARDS[0]), within=60, what="Connections is the first tab"
        )
        for dashboard in DASHBOARDS:
            await page.click("vm-predefined-panels-tabs__tab", vmui(dashboard)["title"])
            for row in dashboard.rows[1:]:  # the first is open
                await page.click("vm-predefined-dashboard-header__title", row.title)
            panels = list(dashboard.panels)
            await eventually(
                partial(drawn, page, dashboard), within=60, every=0.5, what=f"graphs of {dashboard.title}"
            )
            said = await page.value("document.body.innerText")
            assert [panel.title for panel in panels if panel.title not in said] == []
            assert "No data" not in said
            picture = await page.screenshot(width=1400, height=1900, scale=0.6)
            for directory in kept_in(watched):
                (directory / f"{dashboard.name}.png").write_bytes(picture)


def kept_in(watched: Observed) -> list[Path]:
    """Where reports and pictures go: the run's output, and PANELS_DOCS where it is set."""
    docs = os.environ.get("PANELS_DOCS")
    return [watched.stack.run.output, *([Path(docs)] if docs else [])]


async def open_tab_is(page: Page, dashboard: Dashboard) -> bool:
    script = "document.querySelector('.vm-predefined-panels-tabs__tab_active')?.textContent"
    return bool(await page.value(script) == vmui(dashboard)["title"])


async def drawn(page: Page, dashboard: Dashboard) -> bool:
    """Whether each panel has its graph and each query a line in its legend: axes are there before any data is.

    A legend's fixed words stand for it: labels are filled in.
    """
    legends = [
        [words for query in panel.queries if (words := re.sub(r"{{\w+}}", "", query.legend).split())]
        for panel in dashboard.panels
    ]
    script = f"""(legends => {{
        const panels = [...document.querySelectorAll('.vm-predefined-panel')].map(
            e => [...e.querySelectorAll('.vm-legend-item')].map(item => item.innerText))
        return document.querySelectorAll('canvas').length == {len(legends)}
            && !document.querySelector('[class*=spinner]')
            && panels.every((items, n) => items.length
                && legends[n].every(words => items.some(item => words.every(word => item.includes(word)))))
    }})({json.dumps(legends)})"""
    return bool(await page.value(script))
