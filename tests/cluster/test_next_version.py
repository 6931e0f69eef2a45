"""From a release, installed by its own program and charts, to what is here and to one key more, with calls running."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from infra.budget import solve
from infra.config import parse_config
from infra.kind.cluster import Cluster
from infra.kind.deploy import WORKER_SECRET, kind_values
from infra.kind.installed import FLEET, NAMESPACE
from infra.kind.pulumi_stack import PulumiStack
from infra.stack.components.charts import merged
from infra.stack.record import ADOPTED
from infra.supply.engine import Engine
from infra.supply.images import Images
from infra.supply.places import ROOT
from tests.cluster import install, stacks
from tests.cluster.conftest import SUPPLY
from tests.cluster.install import Stack
from tests.cluster.load import load
from tests.cluster.pulumi_commands import preview, up
from tests.cluster.test_rolling import end
from tests.cluster.test_upgrade import tree_of, upgraded
from tests.cluster.watching import Watch, within_budget

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(2400, func_only=True)]

RELEASE = "3dacf18"
"""0.1.0."""


@pytest.mark.extended
async def test_next_version(
    cluster: Cluster, built: tuple[Engine, Images], stack: PulumiStack, tmp_path: Path
) -> None:
    """`pulumi up` by three versions, one after the other: replaced is nothing, refused is nothing, lost is no call."""
    values = merged(kind_values(built[1]), {"fleet": {"max_call_seconds": stacks.MAX_CALL_SECONDS}})
    released = by(tree_of(RELEASE, tmp_path / "release"), stack)
    released.configure(values)
    answer = await up(released)
    assert answer.status == 0, answer.text
    solution = solve(parse_config(values, "kind"))
    with Watch(cluster, Stack(solution, built[1]), "next-version") as watch:
        async with load(install.line(cluster, WORKER_SECRET)) as calls:
            await calls.hold(solution.fleet.jobs)
            watch.calls(calls.talking)
            for version in (stack, by(one_key_more(tmp_path / "later"), stack)):
                shown = await preview(version)
                assert shown.status == 0, shown.text
                assert not [line for line in shown.text.splitlines() if "replace" in line], shown.text
                watch.mark("rollout")
                answer = await up(version)
                assert answer.status == 0, answer.text
                assert calls.talking == len(calls.callers)
            await calls.hold(solution.fleet.jobs)
            watch.calls(calls.talking)
            await end(cluster, watch.stack, calls, watch)
    within_budget(watch)


async def test_next_version_by_helm(cluster: Cluster, fast: Stack, tmp_path: Path) -> None:
    """`helm upgrade` from the release's charts; its workers can be adopted by what helm knows of them."""
    await upgraded(cluster, fast, tree_of(RELEASE, tmp_path), "next-version-by-helm")
    adopted = adopt(cluster)
    # No chart made it, and none takes it away: the namespace is the next scenario's.
    cluster.kubectl("-n", NAMESPACE, "delete", "configmap", ADOPTED)
    assert adopted.returncode == 0, adopted.stderr
    assert f"2 workers run with budget {fast.solution.digest}. Assumed of them:" in adopted.stdout


def adopt(cluster: Cluster) -> subprocess.CompletedProcess[str]:
    values = cluster.helm("get", "values", FLEET, "--namespace", NAMESPACE, "--output", "yaml")
    return subprocess.run(
        [sys.executable, "-m", "infra.adopt", "--namespace", NAMESPACE, "-"],
        cwd=ROOT,
        env=os.environ | {"KUBECONFIG": str(cluster.kubeconfig)},
        input=values,
        capture_output=True,
        text=True,
        check=False,
    )


def by(tree: Path, stack: PulumiStack) -> PulumiStack:
    """The same stack by another version's program and policy."""
    program = tree / "infra"
    (tree / ".venv").symlink_to(ROOT / ".venv")
    return replace(stack, program=program, pack=SUPPLY.policy_pack(program / "policy", tree / "pack"))


def one_key_more(tree: Path) -> Path:
    """What is here as a version to come: its config has another key, and every digest is another."""
    for name in ("agent", "charts", "infra"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "uv.lock"):
        shutil.copy(ROOT / name, tree / name)
    schema = tree / "infra" / "config" / "schema.py"
    before, found, after = schema.read_text().partition("    jobs: int = Field(")
    assert found
    schema.write_text(f"{before}    of_a_version_to_come: int = Field(default=0)\n{found}{after}")
    return tree
