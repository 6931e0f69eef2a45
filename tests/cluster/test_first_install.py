"""The stack on a fresh cluster: a call from outside is answered and stored, and a second install changes nothing."""

from __future__ import annotations

import pytest

from infra.kind.cluster import Cluster
from infra.kind.installed import FLEET, NAMESPACE
from infra.local.eventually import eventually
from tests.cluster import install
from tests.cluster.install import Stack
from tests.cluster.load import load
from tests.cluster.test_rolling import end
from tests.cluster.watching import Watch, within_budget

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800, func_only=True)]

COUNT = (
    "import os, pymongo; print(pymongo.MongoClient(os.environ['MONGODB_URL'], maxPoolSize=1)"
    ".get_default_database()['transcripts'].count_documents({}))"
)


def transcripts(cluster: Cluster) -> int:
    return int(cluster.kubectl("-n", NAMESPACE, "exec", f"deployment/{FLEET}", "--", "python", "-c", COUNT))


async def test_first_install(cluster: Cluster, fast: Stack) -> None:
    before = transcripts(cluster)
    with Watch(cluster, fast, "first-install") as watch:
        async with load(install.line(cluster)) as calls:
            await calls.hold(fast.solution.fleet.jobs)
            watch.calls(calls.talking)
            await end(cluster, fast, calls, watch)
    within_budget(watch)
    await eventually(
        lambda: transcripts(cluster) == before + len(watch.results),
        within=60,
        every=3,
        what="every call's transcript",
    )

    seen = install.fingerprint(cluster)
    install.install(cluster, fast)
    assert install.fingerprint(cluster) == seen
