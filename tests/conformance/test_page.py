"""The page on datastores: its code is run as it stands, against the real servers it speaks of."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from agent.runtime import metrics
from agent.runtime.scope import Scope, lifespan_scope
from infra.local.eventually import eventually
from infra.local.run import Run
from infra.supply.errors import BuildError
from infra.supply.places import ROOT
from tests.conformance.cases import HEAVY, QUICK, Server

PAGE = (ROOT / "agent/runtime/datastores/README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
EXAMPLE = (Path(__file__).parent / "ledger.py").read_text()

SPOKEN_OF = ("mongodb", "redis", "weaviate", "elasticsearch")

Servers = dict[str, Server]


def test_the_example_of_ones_own_is_the_one_that_is_tested_and_short() -> None:
    assert EXAMPLE in BLOCKS
    assert len([line for line in EXAMPLE.splitlines() if line.strip()]) <= 40


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers() -> AsyncIterator[Servers]:
    async with Run("test-page") as run:
        try:
            yield {
                case.name: await case.start(run)
                for case in (*QUICK, *(case for case in HEAVY if case.name in ("weaviate", "elasticsearch")))
            }
        except BuildError as error:
            pytest.skip(str(error))


@pytest.fixture
def page(servers: Servers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What the page's blocks define, run one after the other."""
    metrics.keep_in_memory()
    for server in servers.values():
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("AGENT_SLOT_DIRECTORY", str(tmp_path))
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "pages"))
    monkeypatch.delitem(sys.modules, "managers", raising=False)
    names: dict[str, Any] = {
        "MONGODB_PORT": servers["mongodb"].ports[0],
        "REDIS_PORT": servers["redis"].ports[0],
        "WEAVIATE_PORTS": servers["weaviate"].ports,
        "ELASTICSEARCH_PORT": servers["elasticsearch"].ports[0],
        "__name__": "page",
    }
    monkeypatch.setattr(
        metrics, "install", lambda: None
    )  # the server's; it would keep this process's metrics in files
    for block in BLOCKS:
        if block != EXAMPLE:
            exec(compile(block, "README.md", "exec"), names)
    return names


async def nothing_open(servers: Servers) -> None:
    await eventually(
        lambda: not any(server.connections() for server in servers.values()),
        within=10,
        what="no connection left",
    )


async def all_answer(state: dict[str, Any]) -> None:
    for manager in state.values():
        answer = manager.answers()
        assert await answer if inspect.isawaitable(answer) else answer


@pytest.mark.datastores
@pytest.mark.integration
@pytest.mark.timeout(400)
@pytest.mark.asyncio(loop_scope="module")
class TestThePage:
    async def test_the_app_with_managers(self, page: dict[str, Any], servers: Servers) -> None:
        async with page["app"].router.lifespan_context(page["app"]) as state:
            await all_answer(state)
        await nothing_open(servers)

    async def test_the_same_managers_in_a_job(self, page: dict[str, Any], servers: Servers) -> None:
        with lifespan_scope(Scope("job", 8.0)) as scope:
            async with page["lifespan_of_managers"](None) as state:
                await all_answer(state)
                for name, store in (
                    ("mongo", "mongodb"),
                    ("vectors", "weaviate"),
                    ("search", "elasticsearch"),
                ):
                    connections = scope.datastores[name].connections()
                    assert connections.idle == servers[store].connections() > 0
        await nothing_open(servers)

    async def test_one_lifespan_in_a_job_and_in_an_app(self, page: dict[str, Any], servers: Servers) -> None:
        with lifespan_scope(Scope("job", 8.0)):
            async with page["lifespan"](None) as state:
                assert set(state) == {"db", "cache", "vectors", "search"}
        await nothing_open(servers)
        api = page["api"]
        async with api.router.lifespan_context(api) as state:
            answers: list[dict[str, Any]] = []
            await api(
                {
                    "type": "http",
                    "method": "GET",
                    "path": "/calls",
                    "headers": [],
                    "query_string": b"",
                    "state": state,
                },
                _no_body,
                lambda message: _keep(answers, message),
            )
            assert (answers[0]["status"], answers[1]["body"]) == (200, b"0")
        await nothing_open(servers)


async def _no_body() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _keep(answers: list[dict[str, Any]], message: dict[str, Any]) -> None:
    answers.append(message)
