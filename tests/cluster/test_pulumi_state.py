"""What others and accidents do to a stack between two `pulumi up`s, with the real engine and the real plugin."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.kind.cluster import Cluster
from infra.kind.deploy import WORKER_SECRET, kind_values
from infra.kind.installed import FLEET, NAMESPACE
from infra.kind.pulumi_stack import PulumiStack
from infra.local.eventually import eventually
from infra.stack.components.charts import merged
from infra.stack.components.objects import MANAGER
from infra.stack.record import RECORD
from infra.supply.engine import Engine
from infra.supply.images import Images
from tests.cluster import install, pods, secrets
from tests.cluster.load import dropped, load
from tests.cluster.pulumi_commands import answered, destroy, preview, quota, refresh, up

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(2400, func_only=True)]

Values = dict[str, Any]
Built = tuple[Engine, Images]

# Of a worker that still has calls; the servers' own are looked at while one of their pods is there.
GUARDS = {
    FLEET: {
        f"ConfigMap/{FLEET}",
        f"NetworkPolicy/{FLEET}",
        f"PodDisruptionBudget/{FLEET}",
        f"ResourceQuota/{FLEET}",
        "Pod/mongodb-0",
        "Pod/redis-0",
    },
    "mongodb": {"NetworkPolicy/mongodb"},
    "redis": {"ConfigMap/redis", "NetworkPolicy/redis"},
    "livekit": {"ConfigMap/livekit", "NetworkPolicy/livekit"},
}

OPERATORS = "probe-operators"
CHART = {
    "Chart.yaml": "apiVersion: v2\nname: probe\nversion: 1.0.0\n",
    "templates/probe.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: probe}\ndata: {a: b}\n",
    "templates/hook.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: probe-hook\n"
    "  annotations: {helm.sh/hook: post-install}\n",
}


@pytest.mark.extended
async def test_pulumi_takes_over(cluster: Cluster, built: Built, stack: PulumiStack) -> None:
    """What is there already: somebody's namespace, an `up` that was killed, what `data: keep` has left."""
    values = merged(kind_values(built[1]), {"deployment": {"data": "keep"}})
    stack.configure(values)
    await adopts_a_namespace_but_no_password(cluster, stack)
    await goes_on_after_sigkill(cluster, stack)
    await comes_back_to_what_it_kept(cluster, stack, values)


@pytest.mark.extended
async def test_pulumi_beside_others(
    cluster: Cluster, built: Built, stack: PulumiStack, tmp_path: Path
) -> None:
    """Changes by others, changes in place, and the order of the end."""
    operators = {"operators": {"probe": operator(tmp_path)}}
    values = merged(kind_values(built[1]), {"deployment": operators})
    stack.configure(values)
    answer = await up(stack)
    assert answer.status == 0, answer.text
    assert (await up(stack, "--expect-no-changes")).status == 0
    assert made_by_operator(cluster) == {"probe", "probe-hook"}
    await names_who_else_has_changed_a_field(cluster, stack)
    await leaves_a_scaler_its_replicas(cluster, stack, values)
    await changes_a_password_in_place(cluster, stack)
    await protects_and_targets(cluster, stack)
    await ends_calls_last(cluster, stack)
    assert made_by_operator(cluster) == {"probe-hook"}  # helm deletes no hook that it was not told to
    cluster.kubectl("delete", "namespace", OPERATORS)


def operator(directory: Path) -> Values:
    """A chart in a folder, with a hook: what a third party's has, and ours have not."""
    for name, text in CHART.items():
        file = directory / "probe" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return {"chart": str(directory / "probe"), "version": "1.0.0", "namespace": OPERATORS}


def made_by_operator(cluster: Cluster) -> set[str]:
    items = cluster.get("-n", OPERATORS, "configmaps")["items"]
    return {item["metadata"]["name"] for item in items} - {"kube-root-ca.crt"}


async def adopts_a_namespace_but_no_password(cluster: Cluster, stack: PulumiStack) -> None:
    labels = {"somebody": "else"}
    cluster.apply(
        [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}]
    )
    theirs = {"app-password": "theirs", "operator-password": "theirs"}
    # Applied as `stringData`: nobody is noted as the owner, and nothing would be in conflict.
    secrets.write(cluster, NAMESPACE, "redis-users", theirs)
    await leaves_it_alone(cluster, stack, f"Secret {NAMESPACE}/redis-users is there already")
    cluster.kubectl("-n", NAMESPACE, "delete", "secret", "redis-users")
    # Given away, but kubectl is noted as the owner of its values.
    literals = [f"--from-literal={key}={value}" for key, value in theirs.items()]
    cluster.kubectl("-n", NAMESPACE, "create", "secret", "generic", "redis-users", *literals)
    given = [f"{key}={value}" for key, value in MANAGER.items()]
    cluster.kubectl("-n", NAMESPACE, "annotate", "secret", "redis-users", *given)
    await leaves_it_alone(cluster, stack, "conflict")
    cluster.kubectl("-n", NAMESPACE, "delete", "secret", "redis-users")


async def leaves_it_alone(cluster: Cluster, stack: PulumiStack, why: str) -> None:
    refused = await up(stack)
    assert refused.status != 0
    assert why in refused.text
    assert cluster.secret(NAMESPACE, "redis-users")["app-password"] == "theirs"


async def goes_on_after_sigkill(cluster: Cluster, stack: PulumiStack) -> None:
    """The engine dies while servers start: its lock is taken off, and the next `up` takes over what was made."""
    with stack.start("up", "--yes", "--skip-preview", "--policy-pack", str(stack.pack)) as running:
        await eventually(
            lambda: bool(cluster.get("-n", NAMESPACE, "statefulsets")["items"]),
            within=300,
            every=0.2,
            what="half of it is there",
        )
        engine = psutil.Process(running.pid)
        others = engine.children(recursive=True)
        engine.kill()
    # The plugin and the program notice by themselves, or would go on beside the next one.
    for left in psutil.wait_procs(others, timeout=60)[1]:
        left.kill()
    assert "locked" in (await up(stack)).text
    assert stack.run("cancel", "--yes").status == 0
    answer = await up(stack)
    assert answer.status == 0, answer.text
    assert (await refresh(stack)).status == 0
    assert (await up(stack, "--expect-no-changes")).status == 0
    await answered(cluster, 2)


async def comes_back_to_what_it_kept(cluster: Cluster, stack: PulumiStack, values: Values) -> None:
    """Every figure may have changed meanwhile, and a password, too."""
    kept = uids(cluster, "namespace", NAMESPACE), uids(cluster, "configmap", RECORD)
    assert (await destroy(stack)).status == 0
    assert kept == (uids(cluster, "namespace", NAMESPACE), uids(cluster, "configmap", RECORD))
    changes = {"fleet": {"jobs": 6}, "deployment": {"labels": {"team": "voice"}, "data": "delete"}}
    stack.configure(merged(values, changes))
    stack.run("config", "set", "--secret", "agent-secrets:redis-app-password", text="another-one")
    answer = await up(stack)
    assert answer.status == 0, answer.text
    assert kept == (uids(cluster, "namespace", NAMESPACE), uids(cluster, "configmap", RECORD))
    assert cluster.secret(NAMESPACE, "redis-users")["app-password"] == "another-one"
    assert (await up(stack, "--expect-no-changes")).status == 0
    await answered(cluster, 2)
    assert (await destroy(stack)).status == 0


async def names_who_else_has_changed_a_field(cluster: Cluster, stack: PulumiStack) -> None:
    """Not put right in silence: whoever has claimed the field would put it back."""
    claim = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": FLEET, "namespace": NAMESPACE},
        "spec": {"hard": {"pods": "40"}},
    }
    with_name = ("--server-side", "--force-conflicts", "--field-manager=somebody")
    cluster.kubectl("apply", *with_name, "--filename=-", stdin=json.dumps(claim))
    before = quota(cluster)
    assert (await refresh(stack)).status != 0
    refused = await up(stack)
    assert refused.status != 0
    assert 'conflict with "somebody"' in refused.text
    assert quota(cluster) == before == "40"
    os.environ["PULUMI_K8S_ENABLE_PATCH_FORCE"] = "true"
    try:
        assert (await up(stack)).status == 0
    finally:
        del os.environ["PULUMI_K8S_ENABLE_PATCH_FORCE"]
    assert quota(cluster) != "40"


async def leaves_a_scaler_its_replicas(cluster: Cluster, stack: PulumiStack, values: Values) -> None:
    scaled = {"scaling": {"by": "hpa", "hpa": {"rule": False}}}
    stack.configure(merged(values, {"deployment": {"values": {FLEET: scaled}}}))
    answer = await up(stack)
    assert answer.status == 0, answer.text
    cluster.kubectl("-n", NAMESPACE, "scale", f"deployment/{FLEET}", "--replicas=1")
    assert (await up(stack, "--expect-no-changes")).status == 0
    assert cluster.get("-n", NAMESPACE, f"deployment/{FLEET}")["spec"]["replicas"] == 1
    stack.configure(values)
    assert (await up(stack)).status == 0


async def changes_a_password_in_place(cluster: Cluster, stack: PulumiStack) -> None:
    """Nothing is replaced: a pod that starts meanwhile finds its Secret."""
    before = uids(cluster, "secret", WORKER_SECRET)
    stack.run("config", "set", "--secret", "agent-secrets:redis-app-password", text="a-new-one")
    shown = await preview(stack)
    assert "replace" not in shown.text, shown.text
    assert (await up(stack)).status == 0
    assert uids(cluster, "secret", WORKER_SECRET) == before
    assert "a-new-one" in cluster.secret(NAMESPACE, WORKER_SECRET)["REDIS_URL"]


async def protects_and_targets(cluster: Cluster, stack: PulumiStack) -> None:
    exported = json.loads(stack.run("stack", "export").text)["deployment"]["resources"]
    (urn,) = (one["urn"] for one in exported if one["urn"].endswith(RECORD))
    assert stack.run("state", "protect", urn, "--yes").status == 0
    refused = await destroy(stack)
    assert refused.status != 0
    assert "protect" in refused.text
    assert stack.run("state", "unprotect", urn, "--yes").status == 0
    cluster.kubectl("-n", NAMESPACE, "delete", f"configmap/{RECORD}")
    assert stack.run("refresh", "--yes", "--target", urn).status == 0
    answer = await up(stack, "--target", urn)
    assert answer.status == 0, answer.text
    assert cluster.get("-n", NAMESPACE, f"configmap/{RECORD}")["data"]


async def ends_calls_last(cluster: Cluster, stack: PulumiStack) -> None:
    """`destroy` with calls running waits for them; whatever guards or feeds a pod outlives it."""
    assert (await up(stack)).status == 0
    seen: list[str] = []
    async with load(install.line(cluster, WORKER_SECRET)) as calls:
        await calls.hold(4)
        ending = asyncio.create_task(destroy(stack))
        await eventually(
            lambda: all(map(pods.deleted, pods.workers(cluster))), within=120, what="every worker drains"
        )
        watching = asyncio.create_task(asyncio.to_thread(lambda: seen.extend(unguarded(cluster, ending))))
        await eventually(lambda: calls.talking == 4, within=1, what="nobody was cut off")
        assert dropped(await calls.end()) == []
    answer = await ending
    assert answer.status == 0, answer.text
    await watching
    assert seen == []


def unguarded(cluster: Cluster, ending: asyncio.Task[Any]) -> list[str]:
    """Until `ending`: each pod that was there without what belongs to it."""
    kinds = "pods,configmaps,networkpolicies,poddisruptionbudgets,resourcequotas"
    found = []
    while not ending.done():
        items = cluster.get("-n", NAMESPACE, kinds)["items"]
        there = {f"{item['kind']}/{item['metadata']['name']}" for item in items}
        for item in items:
            name = item["metadata"].get("labels", {}).get("app.kubernetes.io/name")
            if item["kind"] == "Pod" and (missing := GUARDS.get(name, set()) - there):
                found.append(f"{item['metadata']['name']} without {sorted(missing)}")
    return found


def uids(cluster: Cluster, kind: str, name: str) -> str:
    """By which a replaced object is told from a changed one."""
    where = () if kind == "namespace" else ("-n", NAMESPACE)
    found: str = cluster.get(*where, f"{kind}/{name}")["metadata"]["uid"]
    return found
