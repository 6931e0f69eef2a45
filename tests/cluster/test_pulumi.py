"""`pulumi up` of the kind stack, by the real engine: refused, up, unchanged, put right, grown, shrunk, kept, destroyed.

Engine and plugin are the real ones: an installed Pulumi's, or with OFFLINE=1 both built from their Go modules.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from infra.budget import solve
from infra.config import parse_config
from infra.kind.cluster import Cluster
from infra.kind.deploy import WORKER_SECRET, kind_values
from infra.kind.installed import FLEET, NAMESPACE
from infra.kind.pulumi_stack import SECRETS, PulumiStack
from infra.local.eventually import eventually
from infra.stack.components.charts import merged
from infra.supply.engine import Engine
from infra.supply.images import Images
from tests.cluster import install, pods, stacks
from tests.cluster.load import dropped, load
from tests.cluster.pulumi_commands import answered, destroy, preview, quota, refresh, up

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(2400, func_only=True)]
PASSWORD_INSIDE = "redis://me:hidden@x/0"

Values = dict[str, Any]


@pytest.mark.extended
async def test_pulumi(cluster: Cluster, built: tuple[Engine, Images], stack: PulumiStack) -> None:
    """One story, in this order."""
    own = {"fleet": {"max_call_seconds": stacks.MAX_CALL_SECONDS}, "deployment": {"data": "keep"}}
    values = merged(kind_values(built[1]), own)
    await refuses_what_a_chart_would_take(stack, values)
    await deploys_once(cluster, stack, values)
    await puts_right_what_was_changed_by_hand(cluster, stack)
    await refuses_what_does_not_fit(stack, values)
    await grows(cluster, stack, merged(values, {"fleet": {"jobs": 6}}))
    await shrinks_in_two_steps(cluster, stack, values)
    await takes_the_data_when_told_twice(cluster, stack, values)


async def refuses_what_a_chart_would_take(stack: PulumiStack, values: Values) -> None:
    """The policy pack's own words, in the preview."""
    stack.configure(merged(values, {"deployment": {"values": {FLEET: {"env": {"CACHE": PASSWORD_INSIDE}}}}}))
    refused = await preview(stack)
    assert refused.status != 0
    assert "data.CACHE holds an address with a password" in refused.text


async def deploys_once(cluster: Cluster, stack: PulumiStack, values: Values) -> None:
    """Calls are answered; a second time is no change; nothing secret can be read in the state."""
    stack.configure(values)
    answer = await up(stack)
    assert answer.status == 0, answer.text
    await answered(cluster, 4)
    assert (await up(stack, "--expect-no-changes")).status == 0
    assert (await refresh(stack)).status == 0
    assert not in_clear(stack)


async def puts_right_what_was_changed_by_hand(cluster: Cluster, stack: PulumiStack) -> None:
    before = quota(cluster)
    patch = '{"spec":{"hard":{"pods":"40"}}}'
    cluster.kubectl("-n", NAMESPACE, "patch", "resourcequota", FLEET, "--type=merge", f"--patch={patch}")
    assert (await refresh(stack)).status != 0
    assert (await up(stack)).status == 0
    assert quota(cluster) == before


async def refuses_what_does_not_fit(stack: PulumiStack, values: Values) -> None:
    """A promise that the database cannot keep: the solver's numbers, and nothing changes."""
    stack.configure(merged(values, {"fleet": {"jobs": 40}, "mongodb": {"limit": 60}}))
    refused = await preview(stack)
    assert refused.status != 0
    assert "too many" in refused.text
    assert "Any one of these would fit" in refused.text


async def grows(cluster: Cluster, stack: PulumiStack, larger: Values) -> None:
    """One `up`, with calls running; the servers restart with their new limits, and calls reconnect."""
    stack.configure(larger)
    async with load(install.line(cluster, WORKER_SECRET)) as calls:
        await calls.hold(4)
        answer = await up(stack)
        assert answer.status == 0, answer.text
        assert limit(cluster) == solved(larger)
        assert dropped(await calls.end()) == []


async def shrinks_in_two_steps(cluster: Cluster, stack: PulumiStack, smaller: Values) -> None:
    """The second is refused while a worker of the larger fleet still has calls; the servers keep their size so long."""
    before = limit(cluster)
    async with load(install.line(cluster, WORKER_SECRET)) as calls:
        await calls.hold(6)
        stack.configure(smaller)
        first = await up(stack)
        assert first.status == 0, first.text
        assert "Run `pulumi up` again when the last of them is gone" in first.text
        assert limit(cluster) == before
        second = await up(stack)
        assert second.status != 0
        assert "old workers still terminate" in second.text
        assert limit(cluster) == before
        assert calls.talking == 6
        assert dropped(await calls.end()) == []
    await eventually(
        lambda: len(pods.workers(cluster)) == 2, within=300, every=3, what="drained workers are gone"
    )
    assert (await up(stack)).status == 0
    assert limit(cluster) == solved(smaller) < before
    assert (await up(stack, "--expect-no-changes")).status == 0
    await answered(cluster, 4)


async def takes_the_data_when_told_twice(cluster: Cluster, stack: PulumiStack, values: Values) -> None:
    answer = await destroy(stack)
    assert answer.status == 0, answer.text
    await eventually(
        lambda: not cluster.get("-n", NAMESPACE, "pods,statefulsets")["items"],
        within=120,
        every=2,
        what="only the data is left",
    )
    claims = cluster.get("-n", NAMESPACE, "persistentvolumeclaims")["items"]
    assert [claim["metadata"]["name"] for claim in claims] == ["data-mongodb-0"]
    stack.configure(merged(values, {"deployment": {"data": "delete"}}))
    assert (await up(stack)).status == 0
    assert (await destroy(stack)).status == 0
    assert not cluster.get("namespaces", f"--field-selector=metadata.name={NAMESPACE}")["items"]


def in_clear(stack: PulumiStack) -> list[str]:
    """Secrets of the stack's config that its exported state shows."""
    exported = stack.run("stack", "export").text
    assert "ciphertext" in exported
    config = json.loads(stack.run("config", "--json", "--show-secrets").text)
    return [key for key in SECRETS if config[key]["value"] in exported]


def limit(cluster: Cluster) -> int:
    """Clients that Redis is told to take; MongoDB's stand-in knows no such limit."""
    config = cluster.get("-n", NAMESPACE, "configmap/redis")["data"]["valkey.conf"]
    found = re.search(r"^maxclients (\d+)$", config, re.MULTILINE)
    assert found
    return int(found[1])


def solved(values: Values) -> int:
    """The same, as the budget has it."""
    return solve(parse_config(values, "kind")).datastores["redis"].limit
