"""`pulumi up` of the kind stack, by the real engine: up, unchanged, refused, grown, shrunk in two steps, destroyed.

The Kubernetes plugin is the stand-in of tests/infra/provider where the engine is built from its Go module.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from infra.components.charts import merged
from infra.kind import engine, images, install
from infra.kind.cluster import Cluster
from infra.kind.deploy import WORKER_SECRET, forget, kind_stack, kind_values
from infra.kind.install import FIRST, FLEET, NAMESPACE
from infra.kind.pulumi_stack import PulumiStack
from infra.local.eventually import eventually
from tests.cluster import pods
from tests.cluster.conftest import HERE, OFFLINE
from tests.cluster.load import dropped, load

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(2400)]


@pytest.fixture
def stack(cluster: Cluster) -> Iterator[PulumiStack]:
    """Nothing is installed, and nothing is left."""
    for chart in (FLEET, *FIRST):
        cluster.helm("uninstall", chart, "--namespace", NAMESPACE, "--ignore-not-found", "--wait")
    _delete_namespace(cluster)
    forget()
    yield kind_stack(cluster, offline=OFFLINE)
    _delete_namespace(cluster)
    forget()


async def test_pulumi(
    cluster: Cluster, built: tuple[engine.Engine, images.Images], stack: PulumiStack
) -> None:
    fleet = kind_values(built[1], offline=OFFLINE, file=HERE / "fast.yaml")
    values = merged(kind_values(built[1], offline=OFFLINE), {"fleet": fleet["fleet"]})
    larger = _changed(values, "fleet", jobs=6)

    stack.configure(values)
    answer = await up(stack)
    assert answer.status == 0, answer.text
    await answered(cluster, 4)
    assert (await up(stack, "--expect-no-changes")).status == 0
    assert (await asyncio.to_thread(stack.run, "refresh", "--yes", "--expect-no-changes")).status == 0

    # A promise that the database cannot keep is refused with the solver's numbers, and nothing changes.
    stack.configure(_changed(_changed(values, "fleet", jobs=40), "mongodb", limit=60))
    refused = await asyncio.to_thread(stack.preview)
    assert refused.status != 0
    assert "too many" in refused.text
    assert "Any one of these would fit" in refused.text

    # Growing is one `up`, with calls running; the servers restart with their new limits, and calls reconnect.
    stack.configure(larger)
    async with load(install.line(cluster, WORKER_SECRET)) as calls:
        await calls.hold(4)
        answer = await up(stack)
        assert answer.status == 0, answer.text
        assert dropped(await calls.end()) == []

    # Shrinking is two: the second is refused while a worker of the larger fleet still has calls.
    async with load(install.line(cluster, WORKER_SECRET)) as calls:
        await calls.hold(6)
        stack.configure(values)
        first = await up(stack)
        assert first.status == 0, first.text
        assert "Run `pulumi up` again when the last of them is gone" in first.text
        second = await up(stack)
        assert second.status != 0
        assert "old workers still terminate" in second.text
        assert calls.talking == 6
        assert dropped(await calls.end()) == []
    await eventually(
        lambda: len(pods.workers(cluster)) == 2, within=300, every=3, what="drained workers are gone"
    )
    assert (await up(stack)).status == 0
    assert (await up(stack, "--expect-no-changes")).status == 0
    await answered(cluster, 4)

    # The stack file says `data: delete`.
    destroyed = await asyncio.to_thread(stack.run, "destroy", "--yes")
    assert destroyed.status == 0, destroyed.text
    assert not cluster.get("namespaces", f"--field-selector=metadata.name={NAMESPACE}")["items"]


async def up(stack: PulumiStack, *options: str) -> Any:
    return await asyncio.to_thread(stack.up, *options)


async def answered(cluster: Cluster, number: int) -> None:
    async with load(install.line(cluster, WORKER_SECRET)) as calls:
        await calls.hold(number)
        assert dropped(await calls.end()) == []


def _changed(values: dict[str, Any], section: str, **figures: int) -> dict[str, Any]:
    return merged(values, {section: figures})


def _delete_namespace(cluster: Cluster) -> None:
    cluster.kubectl(
        "delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait", "--timeout=300s", within=330
    )
