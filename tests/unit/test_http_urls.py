"""URLs of Weaviate, Elasticsearch and OpenSearch: what is refused, and that nothing of a password is ever told."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager

import pytest

from agent.runtime.datastores.elasticsearch import ElasticsearchSettings, elasticsearch
from agent.runtime.datastores.opensearch import OpenSearchSettings, opensearch
from agent.runtime.datastores.weaviate import WeaviateSettings, weaviate
from agent.runtime.errors import DatastoreUnavailable, SettingsError
from agent.runtime.scope import Scope, lifespan_scope
from tests.unit.everything_told import everything_told

WORD = "hunter2"
KEY = "key-4711"
Opened = Callable[[str], AbstractAsyncContextManager[object]]


def of_elasticsearch(url: str) -> AbstractAsyncContextManager[object]:
    given = {"ELASTICSEARCH_URL": url, "ELASTICSEARCH_REPLY_SECONDS": "1"}
    if "@" not in url:  # the client takes one of the two
        given["ELASTICSEARCH_API_KEY"] = KEY
    return elasticsearch(settings=ElasticsearchSettings.from_environment(given))


def of_opensearch(url: str) -> AbstractAsyncContextManager[object]:
    given = {"OPENSEARCH_URL": url, "OPENSEARCH_REPLY_SECONDS": "1"}
    return opensearch(settings=OpenSearchSettings.from_environment(given))


def of_weaviate(url: str) -> AbstractAsyncContextManager[object]:
    given = {"WEAVIATE_URL": url, "WEAVIATE_API_KEY": KEY, "WEAVIATE_REPLY_SECONDS": "1"}
    return weaviate(settings=WeaviateSettings.from_environment(given))


def of_weaviate_by_grpc(url: str) -> AbstractAsyncContextManager[object]:
    given = {"WEAVIATE_URL": "http://127.0.0.1:1", "WEAVIATE_GRPC_URL": url, "WEAVIATE_REPLY_SECONDS": "1"}
    return weaviate(settings=WeaviateSettings.from_environment(given))


SEARCH = [of_elasticsearch, of_opensearch]
ALL = [*SEARCH, of_weaviate, of_weaviate_by_grpc]


@asynccontextmanager
async def opened(datastore: Opened, url: str) -> AsyncIterator[None]:
    with ExitStack() as stack:
        stack.enter_context(lifespan_scope(Scope("job", 1.0)))
        async with datastore(url):
            yield


REFUSED = [
    f"http://{WORD}#tail@127.0.0.1:1",
    f"http://u:{WORD}#tail@127.0.0.1:1",
    f"http://u:{WORD}/tail@127.0.0.1:1",
    f"http://u:{WORD}?tail@127.0.0.1:1",
    f"http://u:{WORD}[tail@127.0.0.1:1",
    f"http://u:{WORD}]tail@127.0.0.1:1",
    f"http://u:{WORD} tail@127.0.0.1:1",
    f"http://u:{WORD},tail@127.0.0.1:1",
    f"http://u:{WORD}@tail@127.0.0.1:1",
    f"http://u:tail@{WORD}@127.0.0.1:1",
    f"http://{WORD}@u:tail@127.0.0.1:1",
    f"http://:{WORD}",
    f"http://:{WORD}@",
    f"http://u:{WORD}@/tail",
    f"http://u:{WORD}@127.0.0.1:99999",
    f"http://u:{WORD}@127.0.0.1:port",
    f"http://u:{WORD}@127.0.0.1:1?ssl={WORD}",
    f"http://u:{WORD}@127.0.0.1:1#{WORD}",
    f"http://u:{WORD}@127.0.0.1:1,u:{WORD}@127.0.0.1:2",
    f"http://u:{WORD}@127.0.0.1:1,",
    "http://u:20261129/hunter2@127.0.0.1:1",
    "http://20261129/hunter2@127.0.0.1:1",
    "http://u:20261129,tail@127.0.0.1:1",
]
DIALLED = [
    f"http://u:{WORD}:tail@127.0.0.1:1",
    f"http://u:{WORD}\\tail@127.0.0.1:1",  # refused by one of the clients
    f"http://u:{WORD}@127.0.0.1:1",
    f"http://u:{WORD}%40%2Ftail@127.0.0.1:1",
    f"http://u:{WORD}%tail@127.0.0.1:1",
    f"http://u:{WORD}@127.0.0.1:1/search",
    f"http://u:{WORD}@127.0.0.1:1, http://u:{WORD}@127.0.0.1:2",
    f"https://u:{WORD}@127.0.0.1:1",
]
# What clients send is no secret's text, but tells as much.
TELLS = (WORD, "tail@", "20261129", KEY, base64.b64encode(f"u:{WORD}".encode()).decode()[:11])


@pytest.mark.parametrize("datastore", ALL)
@pytest.mark.parametrize("url", REFUSED)
async def test_an_odd_url_is_refused_and_not_repeated(
    datastore: Opened, url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match=r"_URL=\(hidden\).*; accepted: ") as refused:
        async with opened(datastore, url):
            pass
    assert refused.value.__cause__ is None
    told = await everything_told(opened(datastore, url), caplog, monkeypatch)
    assert not [part for part in TELLS if part in told], told


@pytest.mark.parametrize("datastore", SEARCH)
@pytest.mark.parametrize("url", [*DIALLED, "http://127.0.0.1:1"])
async def test_nothing_of_a_password_is_told_where_nobody_answers(
    datastore: Opened, url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises((DatastoreUnavailable, SettingsError)):
        async with opened(datastore, url):
            pass
    told = await everything_told(opened(datastore, url), caplog, monkeypatch)
    assert not [part for part in TELLS if part in told], told


@pytest.mark.parametrize("datastore", [of_weaviate, of_weaviate_by_grpc])
@pytest.mark.parametrize(
    "url",
    [
        f"http://u:{WORD}@127.0.0.1:1",
        f"http://{WORD}@127.0.0.1:1",
        "http://127.0.0.1:1/v1",
        "http://127.0.0.1:1?a=b",
    ],
)
async def test_weaviates_client_would_pass_over_what_is_refused(
    datastore: Opened, url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match=r"a user, a path or options; accepted: http\[s\]://host"):
        async with opened(datastore, url):
            pass
    told = await everything_told(opened(datastore, url), caplog, monkeypatch)
    assert not [part for part in TELLS if part in told], told


async def test_weaviates_key_is_not_told_where_nobody_answers(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = await everything_told(opened(of_weaviate, "http://127.0.0.1:1/"), caplog, monkeypatch)
    assert "weaviate could not be opened" in told
    assert KEY not in told
