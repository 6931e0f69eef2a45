"""What opening both datastores costs on the wire: what PyMongo and Redis's protocol cannot do without, nothing more."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.local.eventually import eventually
from tests.benchmarks.bench import Bench, JobProcess, servers

pytestmark = pytest.mark.integration

# MongoDB: PyMongo's monitor connects and says hello, its pool connects, says hello with SCRAM's first message and sends
# the second, the query.
# Redis: connect, HELLO with the password, GET.
FLOOR = {"mongodb": 6, "redis": 3}
# PyMongo's monitor asks again after so long, while somebody waits for the server: a job that is not done by then, on a
# machine that is busy with other things, pays for that.
LOOKS_AGAIN_SECONDS = 0.5


def makes(bench: Bench, job: JobProcess, mongodb: int, redis: int) -> None:
    """Assert that the job made so many round trips, the monitor's further looks left out."""
    trips = bench.round_trips()
    looks = int(job.seconds // LOOKS_AGAIN_SECONDS)
    assert trips["redis"] == redis
    assert mongodb <= trips["mongodb"] <= mongodb + looks, f"in {job.seconds:.2f} s"


async def test_tls_adds_one_for_each_connection(tmp_path: Path) -> None:
    async with servers(tmp_path / "run", tls=True) as bench:
        job = await bench.job("ours")
        makes(bench, job, FLOOR["mongodb"] + 2, FLOOR["redis"] + 1)
        await job.close()


async def test_from_the_first_line_to_the_first_document_and_value(tmp_path: Path) -> None:
    async with servers(tmp_path / "run") as bench:
        for models in (1, 20):
            job = await bench.job("ours", models)
            makes(bench, job, **FLOOR)
            assert bench.open() == {"mongodb": 2, "redis": 1}
            assert await job.ask(("burst", 50)) < float("inf")
            assert bench.open() == {"mongodb": 3, "redis": 2}
            await job.close()
            await eventually(lambda: not any(bench.open().values()), within=5, what="all closed")
