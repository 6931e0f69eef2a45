"""What `make kind-up` does once the cluster is there, to what its reader sees in the end: the dashboards."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from pathlib import Path

import pytest

from infra.kind import dashboards
from infra.kind.__main__ import first_call
from infra.kind.cluster import Cluster
from infra.kind.deploy import WORKER_SECRET, deploy
from infra.local.eventually import eventually
from infra.supply.engine import Engine
from infra.supply.images import Images
from tests.cluster import install
from tests.cluster.conftest import SUPPLY
from tests.cluster.load import dropped, load
from tests.cluster.watching import OUTPUT
from tests.integration.browser import Page, browser

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200, func_only=True)]

# The kind stack's jobs, and what each holds of MongoDB: a pool of 2 and a monitoring socket.
CALLS = 4
HELD = "Held against what is granted to the workers that are there"


@pytest.mark.usefixtures("stack")
async def test_kind_up(cluster: Cluster, built: tuple[Engine, Images]) -> None:
    """A first call is answered; the dashboards show open connections against the budget while calls run."""
    deployed = await asyncio.to_thread(deploy, cluster, built[1], SUPPLY)
    address = await asyncio.to_thread(dashboards.install, cluster, built[1].tags)
    line = install.line(cluster, WORKER_SECRET)
    await first_call(line)
    assert "MongoDB" in deployed.run("stack", "output", "budget_table").text
    async with load(line) as calls, browser(OUTPUT / "chromium.log", width=1400, height=6000) as page:
        await calls.hold(CALLS)
        await page.open(address)
        # An idle worker holds one connection of its own; every call opens at least one beside its monitor.
        await eventually(
            partial(held, page, at_least=2 * CALLS), within=90, every=2, what="the calls' connections"
        )
        picture = await page.screenshot(width=1400, height=1220, scale=0.6)
        assert dropped(await calls.end()) == []
    for directory in (OUTPUT, *([Path(docs)] if (docs := os.environ.get("KIND_DOCS")) else [])):
        (directory / "dashboards.png").write_bytes(picture)


async def held(page: Page, *, at_least: int) -> bool:
    """Whether the panel shows so many open connections of MongoDB, and beside them what the budget grants."""
    script = f"""(() => {{
        const panel = [...document.querySelectorAll('.vm-predefined-panel')].find(e => e.innerText.includes({HELD!r}))
        return [...(panel?.querySelectorAll('.vm-legend-item') ?? [])].map(e => e.innerText).join('\\n')
    }})()"""
    said = str(await page.value(script) or "")
    last = {
        name: float(lines.partition("last:")[2].split()[0])
        for name in ("mongodb held", "mongodb granted", "mongodb at the peak")
        if "last:" in (lines := said.partition(name)[2])
    }
    return (
        len(last) == 3
        and at_least <= last["mongodb held"] <= last["mongodb granted"] <= last["mongodb at the peak"]
    )
