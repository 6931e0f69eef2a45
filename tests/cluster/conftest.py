"""One cluster for all scenarios, brought up once, kept for the next run (`make kind-down` removes it)."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from infra.kind import cluster as clusters
from infra.kind.cluster import Cluster
from infra.kind.deploy import forget, kind_stack
from infra.kind.installed import FIRST, FLEET, NAMESPACE
from infra.kind.pulumi_stack import PulumiStack
from infra.supply.choice import chosen
from infra.supply.engine import Engine
from infra.supply.images import Images
from tests.cluster import install, logs, page, stacks
from tests.cluster.install import Stack
from tests.cluster.pulumi_commands import TRANSCRIPT
from tests.cluster.timeline import table
from tests.cluster.watching import OUTPUT, WATCHED

BEGAN = time.time()
SUPPLY = chosen()


@pytest.fixture(scope="session")
def built() -> tuple[Engine, Images]:
    docker = SUPPLY.engine()
    return docker, SUPPLY.images(docker)


@pytest.fixture(scope="session")
def cluster(built: tuple[Engine, Images]) -> Cluster:
    docker, made = built
    there = clusters.up(docker, SUPPLY)
    there.load(made.names)
    return there


@pytest.fixture
def bare(cluster: Cluster) -> Cluster:
    """Nothing of ours is installed."""
    for chart in (FLEET, *FIRST):
        cluster.helm("uninstall", chart, "--namespace", NAMESPACE, "--ignore-not-found", "--wait")
    delete_namespace(cluster)
    return cluster


def delete_namespace(cluster: Cluster) -> None:
    """With all that is in it, and what it has outside of namespaces; nothing happens where there is none."""
    cluster.kubectl(
        "delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait", "--timeout=300s", within=330
    )
    # Made by Pulumi it would be another's to the next scenario's helm.
    cluster.kubectl("delete", "priorityclass", f"{NAMESPACE}-{FLEET}", "--ignore-not-found")


@pytest.fixture(scope="session")
def transcript() -> None:
    """What the engine says in this run alone."""
    TRANSCRIPT.unlink(missing_ok=True)


@pytest.fixture
def stack(bare: Cluster, transcript: None) -> Iterator[PulumiStack]:  # noqa: ARG001
    """Not deployed yet, and gone afterwards."""
    forget()
    yield kind_stack(bare, SUPPLY)
    delete_namespace(bare)
    forget()


@pytest.fixture
def fast(built: tuple[Engine, Images], cluster: Cluster) -> Stack:
    """Installed: two workers of two slots, paid for two rollouts within a grace period."""
    return _installed(cluster, install.stack(built[1], changes=stacks.FAST))


@pytest.fixture
def strict(built: tuple[Engine, Images], cluster: Cluster) -> Stack:
    """Installed: the same promise, rolled strictly."""
    return _installed(cluster, install.stack(built[1], changes=stacks.STRICT))


def _installed(cluster: Cluster, stack: Stack) -> Stack:
    install.install(cluster, stack)
    return stack


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A first install is first; an uninstall, and what needs a bare cluster, last."""

    def place(item: pytest.Item) -> tuple[bool, bool, bool]:
        needs_bare = "bare" in getattr(item, "fixturenames", ())
        return "first_install" not in item.name, needs_bare, "uninstall" in item.name

    items.sort(key=place)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A scenario that failed leaves its pods' logs; what they say about its calls stands in the report."""
    report = yield
    found = getattr(item, "funcargs", {}).get("cluster")
    if report.failed and report.when == "call" and found is not None:
        files = logs.keep(found, OUTPUT / f"{item.name}-logs")
        lines = logs.about(report.longreprtext, files)
        report.sections.append(
            ("about its calls, in the logs", "\n".join(lines) or f"nothing; all: {OUTPUT}")
        )
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table of what was seen, on the terminal, beside the pictures and, where E2E_DOCS names a page, in it."""
    if not WATCHED:
        return
    text = table(WATCHED)
    (OUTPUT / "seen.md").write_text(text + "\n")
    terminalreporter.write_line(f"\n{text}\nsaved: {OUTPUT.resolve()}: seen.md, traces, pictures")
    if docs := os.environ.get("E2E_DOCS"):
        stats = terminalreporter.stats
        page.write(
            Path(docs),
            text,
            passed=len(stats.get("passed", ())),
            failed=len(stats.get("failed", ())) + len(stats.get("error", ())),
            seconds=time.time() - BEGAN,
        )
