"""What opening both datastores costs on the wire: what PyMongo and Redis's protocol cannot do without, nothing more."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.local.eventually import eventually
from tests.benchmarks.bench import servers

pytestmark = pytest.mark.integration

# MongoDB: PyMongo's monitor connects and says hello, its pool connects, says hello and authenticates (saslStart and two
# saslContinue on FerretDB; mongod takes the first in hello and spares the last), the query.
# Redis: connect, HELLO with the password, GET.
FLOOR = {"mongodb": 8, "redis": 3}


async def test_tls_adds_one_for_each_connection(tmp_path: Path) -> None:
    async with servers(tmp_path / "run", tls=True) as bench:
        job = await bench.job("ours")
        assert bench.round_trips() == {"mongodb": FLOOR["mongodb"] + 2, "redis": FLOOR["redis"] + 1}
        await job.close()


async def test_from_the_first_line_to_the_first_document_and_value(tmp_path: Path) -> None:
    async with servers(tmp_path / "run") as bench:
        for models in (1, 20):
            job = await bench.job("ours", models)
            assert bench.round_trips() == FLOOR
            assert bench.open() == {"mongodb": 2, "redis": 1}
            assert await job.ask(("burst", 50)) < float("inf")
            assert bench.open() == {"mongodb": 3, "redis": 2}
            await job.close()
            await eventually(lambda: not any(bench.open().values()), within=5, what="all closed")
