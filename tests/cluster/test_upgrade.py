"""From the charts as they were before their last change to these, with calls running."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from infra.kind import installed
from infra.kind.cluster import Cluster
from infra.kind.installed import FIRST, FLEET
from infra.supply.places import ROOT
from tests.cluster import install, stacks
from tests.cluster.install import Stack
from tests.cluster.load import load
from tests.cluster.test_rolling import end
from tests.cluster.watching import Watch, within_budget

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500, func_only=True)]

# Run in that commit's tree: its values are those that its own code writes, for the same stack file.
VALUES = """
import json, sys
tags, values, changes = json.load(sys.stdin)
try:
    from infra.kind import images, install
except ImportError:
    from infra.supply.images import Images
    from tests.cluster import install
    stack = install.stack(Images(tags, values), changes=changes)
else:  # 0.1.0's
    stack = install.stack(images.Images(tags), offline="mongodb" in values, changes=changes)
print(json.dumps(stack.values()))
"""


@pytest.mark.extended
async def test_upgrade(cluster: Cluster, fast: Stack, tmp_path: Path) -> None:
    rendered = ("charts/*/templates/*.yaml", "charts/*/templates/*.tpl", "charts/*/values.yaml")
    last = _git("rev-list", "-1", "HEAD", "--", *rendered).decode().strip()
    await upgraded(cluster, fast, tree_of(f"{last}~1", tmp_path), "upgrade")


async def upgraded(cluster: Cluster, fast: Stack, tree: Path, name: str) -> None:
    """From that tree's charts and values to these, no call lost, nothing above the budget."""
    values = values_of(tree, fast)
    for chart in (*FIRST, FLEET):
        install.upgrade(cluster, tree / "charts" / chart, values[chart])
    for what in ("statefulset/mongodb", "statefulset/redis", f"deployment/{FLEET}"):
        installed.rolled_out(cluster, what)
    with Watch(cluster, fast, name) as watch:
        async with load(install.line(cluster)) as calls:
            await calls.hold(fast.solution.fleet.jobs)
            watch.calls(calls.talking)
            before = install.fingerprint(cluster)
            watch.mark("rollout")
            await asyncio.to_thread(install.install, cluster, fast)
            assert install.fingerprint(cluster) != before
            watch.calls(calls.talking)
            await end(cluster, fast, calls, watch)
    within_budget(watch)


def tree_of(commit: str, directory: Path) -> Path:
    """That commit's program, charts and agent, and what installs them here."""
    packed = _git("archive", commit, "charts", "infra", "agent", "tests/cluster", "pyproject.toml", "uv.lock")
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        tar.extractall(directory, filter="data")
    return directory


def values_of(tree: Path, stack: Stack) -> dict[str, dict[str, object]]:
    """The values that its own code writes for the kind stack."""
    given = json.dumps([stack.images.tags, stack.images.values, stacks.FAST])
    written = subprocess.run(
        [sys.executable, "-c", VALUES], cwd=tree, input=given, check=True, capture_output=True, text=True
    )
    found: dict[str, dict[str, object]] = json.loads(written.stdout)
    return found


def _git(*command: str) -> bytes:
    try:
        return subprocess.run(["git", *command], cwd=ROOT, check=True, capture_output=True).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("no earlier commit here: an unpacked archive, or a clone of little depth")
