"""The engine's commands on a scenario's stack; build/e2e/pulumi.txt, which infra/README.md quotes, has its answers."""

from __future__ import annotations

import asyncio

from infra.kind.cluster import Cluster
from infra.kind.deploy import WORKER_SECRET
from infra.kind.installed import FLEET, NAMESPACE
from infra.kind.pulumi_stack import Answer, PulumiStack
from tests.cluster import install
from tests.cluster.load import dropped, load
from tests.cluster.watching import OUTPUT

TRANSCRIPT = OUTPUT / "pulumi.txt"


async def up(stack: PulumiStack, *options: str) -> Answer:
    return noted(f"up {' '.join(options)}", await asyncio.to_thread(stack.up, *options))


async def preview(stack: PulumiStack) -> Answer:
    return noted("preview", await asyncio.to_thread(stack.preview))


async def refresh(stack: PulumiStack) -> Answer:
    """Its status is not 0 where the cluster is not what the state says."""
    return noted("refresh", await asyncio.to_thread(stack.run, "refresh", "--yes", "--expect-no-changes"))


async def destroy(stack: PulumiStack) -> Answer:
    return noted("destroy", await asyncio.to_thread(stack.run, "destroy", "--yes"))


def noted(command: str, answer: Answer) -> Answer:
    OUTPUT.mkdir(parents=True, exist_ok=True)
    with TRANSCRIPT.open("a", encoding="utf-8") as file:
        file.write(f"$ pulumi {command}\n{answer.text}\nexit status {answer.status}\n\n")
    return answer


async def answered(cluster: Cluster, number: int) -> None:
    async with load(install.line(cluster, WORKER_SECRET)) as calls:
        await calls.hold(number)
        assert dropped(await calls.end()) == []


def quota(cluster: Cluster) -> str:
    """Pods that the workers' quota allows."""
    found: str = cluster.get("-n", NAMESPACE, f"resourcequota/{FLEET}")["spec"]["hard"]["pods"]
    return found
