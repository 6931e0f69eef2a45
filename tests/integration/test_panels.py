"""Every panel of every dashboard shows something: its queries are executed on what a live run left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio

from infra.budget import solve
from infra.capacity import capacity
from infra.config import apply_overrides, load_config
from infra.local import stack as stacks
from infra.local.__main__ import STACK_FILE
from infra.local.caller import Caller, Outcome
from infra.local.eventually import beside, eventually, together
from infra.local.observed import Observed, observed
from infra.local.run import Run
from infra.local.servers.metrics_store import FLEET
from infra.local.stack import Stack
from infra.monitoring.dashboards import DASHBOARDS
from infra.monitoring.dashboards.vmui import vmui
from infra.monitoring.series import budget_series
from tests.integration.browser import Page, browser

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(400),
    pytest.mark.asyncio(loop_scope="module"),
]

RUN_SECONDS = 240


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
    table = "\n".join(f"| {name} | {title} | `{expr}` | {count} |" for name, title, expr, count in rows)
    report = watched.stack.run.output / "panels.md"
    report.write_text(
        f"{returned} of {len(rows)} queries returned series\n\n"
        f"| dashboard | panel | query | series |\n|---|---|---|---|\n{table}\n"
    )
    print(f"{returned} of {len(rows)} queries returned series: {report}")
    assert [row for row in rows if not row[-1]] == []


async def test_the_local_dashboards_open_in_a_browser(watched: Observed) -> None:
    output = watched.stack.run.output
    # Graphs below the window's end are not drawn.
    async with browser(output / "logs" / "chromium.log", width=1400, height=6000) as page:
        await page.open(f"{watched.stack.metrics.ui}#/dashboards?g0.range_input=5m")
        for dashboard in DASHBOARDS:
            await clicked(page, "vm-predefined-panels-tabs__tab", vmui(dashboard)["title"])
            for row in dashboard.rows[1:]:  # the first is open
                await clicked(page, "vm-predefined-dashboard-header__title", row.title)
            panels = list(dashboard.panels)
            await eventually(
                partial(drawn, page, len(panels)), within=60, every=0.5, what=f"graphs of {dashboard.title}"
            )
            said = await page.value("document.body.innerText")
            assert [panel.title for panel in panels if panel.title not in said] == []
            assert "No data" not in said
            (output / f"{dashboard.name}.png").write_bytes(
                await page.screenshot(width=1400, height=1900, scale=0.6)
            )


async def clicked(page: Page, style: str, text: str) -> None:
    """Click the element of this class and text as soon as it is there."""
    element = f"[...document.getElementsByClassName({style!r})].find(e => e.textContent == {text!r})"

    async def click() -> bool:
        return bool(await page.value(f"(e => e && (e.click(), true))({element})"))

    await eventually(click, within=60, every=0.2, what=f"{text} on the page")


async def drawn(page: Page, graphs: int) -> bool:
    return bool(await page.value(f"document.querySelectorAll('canvas').length == {graphs}"))
