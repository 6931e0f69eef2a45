"""What only a newer Elasticsearch answers, against a stand-in: TLS of a private authority, API keys, 429."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from elasticsearch import ApiError

from agent.runtime import metrics
from agent.runtime.datastores.elasticsearch import ElasticsearchSettings, elasticsearch
from agent.runtime.errors import DatastoreUnavailable
from agent.runtime.scope import Scope, lifespan_scope
from tests.conformance.newer_elasticsearch import MEDIA_TYPE, VERSION, NewerElasticsearch, newer_elasticsearch

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[NewerElasticsearch]:
    metrics.keep_in_memory()
    async with newer_elasticsearch(tmp_path, secrets.token_urlsafe(30)) as listening:
        yield listening


@pytest.fixture(autouse=True)
def environment(server: NewerElasticsearch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELASTICSEARCH_URL", server.url)
    monkeypatch.setenv("ELASTICSEARCH_API_KEY", server.api_key)
    monkeypatch.setenv("ELASTICSEARCH_CA_FILE", str(server.ca_file))


async def test_an_api_key_over_tls_of_a_private_authority_is_let_in(server: NewerElasticsearch) -> None:
    with lifespan_scope(Scope("job", 2)):
        async with elasticsearch() as client:
            assert (await client.info())["version"]["number"] == VERSION
    assert set(server.accepted) == {MEDIA_TYPE}


async def test_a_wrong_api_key_is_named_by_the_server_and_shown_by_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("ELASTICSEARCH_API_KEY", "a-key-of-before")
    with (
        lifespan_scope(Scope("job", 2)),
        pytest.raises(
            DatastoreUnavailable, match=r"elasticsearch could not be .*401.*security_exception"
        ) as raised,
    ):
        async with elasticsearch():
            pass
    assert "a-key-of-before" not in f"{raised.value}{caplog.text}"


async def test_an_authority_that_nobody_vouches_for_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ELASTICSEARCH_CA_FILE")
    started = time.monotonic()
    with (
        lifespan_scope(Scope("job", 2)),
        pytest.raises(DatastoreUnavailable, match=r"elasticsearch could not be .*certificate verify failed"),
    ):
        async with elasticsearch():
            pass
    assert time.monotonic() - started < ElasticsearchSettings.from_environment().reply_seconds


async def test_a_node_that_is_too_busy_is_asked_again_and_not_for_ever(server: NewerElasticsearch) -> None:
    with lifespan_scope(Scope("job", 2)):
        async with elasticsearch() as client:
            server.busy = 1
            assert (await client.info())["version"]["number"] == VERSION
            server.busy = 100
            with pytest.raises(ApiError, match="es_rejected_execution_exception"):
                await client.info()
            assert server.busy > 90
