"""What a datastore's URL may say, what it is refused for, and that nothing of its password is ever told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from pymongo.common import VALIDATORS
from redis.asyncio.connection import URL_QUERY_ARGUMENT_PARSERS

from agent.runtime.datastores import mongodb as mongodb_module
from agent.runtime.datastores import mongodb_url, redis_url
from agent.runtime.datastores.mongodb import MongoClient, MongoDB, mongodb
from agent.runtime.datastores.redis import RedisDatastore, redis
from agent.runtime.datastores.redis_pool import BoundedPool
from agent.runtime.datastores.urls import Option
from agent.runtime.errors import SettingsError
from agent.runtime.scope import Scope, lifespan_scope
from agent.runtime.settings import MongoDBSettings, RedisSettings
from tests.unit.everything_told import everything_told

POOL = 3


pytestmark = pytest.mark.usefixtures("what_pymongo_drops")


def mongo(url: str, **environment: str) -> MongoDBSettings:
    return MongoDBSettings.from_environment({"MONGODB_URL": url, **environment})


def redis_arguments(url: str) -> dict[str, Any]:
    return redis_url.arguments(valkey(url), url, POOL, decode_responses=True)


def valkey(url: str, **environment: str) -> RedisSettings:
    return RedisSettings.from_environment({"REDIS_URL": url, **environment})


# The database.


@pytest.mark.parametrize(
    ("url", "environment", "database"),
    [
        ("mongodb://h", {}, "agent"),
        ("mongodb://h/", {}, "agent"),
        ("mongodb://h/?w=1", {}, "agent"),
        ("mongodb://h", {"MONGODB_DATABASE": "hotel"}, "hotel"),
        ("mongodb://h/hotel", {}, "hotel"),
        ("mongodb://h/ho%74el", {}, "hotel"),
        ("mongodb://h/hotel", {"MONGODB_DATABASE": "hotel"}, "hotel"),
        ("mongodb://u:p@h/hotel?authSource=admin", {}, "hotel"),
        ("mongodb://u:p@h/hotel?AUTHSOURCE=admin", {}, "hotel"),
        ("mongodb://u@h/hotel?authMechanism=MONGODB-X509&tls=true", {}, "hotel"),
        ("mongodb+srv://u:p@cluster.example.net/hotel?retryWrites=true", {}, "hotel"),
        # Where the user is, and no more.
        ("mongodb://u:p@h/admin", {}, "agent"),
        ("mongodb://u:p@h/users", {"MONGODB_DATABASE": "hotel"}, "hotel"),
        ("mongodb://u:p@h/hotel", {"MONGODB_DATABASE": "hotel"}, "hotel"),
    ],
)
def test_the_database_is_the_urls_or_the_variables(
    url: str, environment: dict[str, str], database: str
) -> None:
    settings = mongo(url, **environment)
    assert mongodb_url.database(settings) == database
    if "+srv" not in url:
        assert MongoDB(settings, POOL, ()).database.name == database


def test_two_databases_are_refused() -> None:
    with pytest.raises(SettingsError, match="its path says database 'hotel', and MONGODB_DATABASE='agent'"):
        mongodb_url.database(mongo("mongodb://h/hotel", MONGODB_DATABASE="agent"))


def test_a_path_that_may_be_the_users_alone_is_asked_about() -> None:
    asked = r"its path 'hotel' is where its user is kept, .* accepted: MONGODB_DATABASE beside it \(hotel, or"
    with pytest.raises(SettingsError, match=asked):
        mongodb_url.database(mongo("mongodb://u:p@h/hotel"))
    srv = mongo("mongodb+srv://u:p@h.example.net/hotel")
    mongodb_url.check_source(srv, "admin")  # its DNS record said so
    with pytest.raises(SettingsError, match=asked):
        mongodb_url.check_source(srv, "hotel")


@pytest.mark.parametrize("url", ["redis://h/hotel", "redis://h/-1", "redis://h/1?db=2"])
def test_redis_takes_no_database_but_the_one_that_is_said(url: str) -> None:
    with pytest.raises(
        SettingsError, match=r"REDIS_URL=\(hidden\): its path is no number|it says its database twice"
    ):
        redis_arguments(url)


# Options.

MONGODB_OPTIONS = mongodb_url.options(mongo("mongodb://h"), POOL, tz_aware=True)
REDIS_OPTIONS = redis_url.options(valkey("redis://h"), POOL, decode_responses=True)


async def test_every_option_the_runtime_sets_is_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new keyword that is passed beside the table would not be compared with the URL's."""
    passed: dict[str, Any] = {}

    def client(*_: Any, **arguments: Any) -> MongoClient:
        passed.update(arguments)
        return MongoClient("mongodb://h")

    monkeypatch.setattr(mongodb_module, "MongoClient", client)
    MongoDB(mongo("mongodb://h"), POOL, ())
    assert set(passed) == {*MONGODB_OPTIONS, "event_listeners"}
    passed.clear()

    def from_url(_: str, **arguments: Any) -> BoundedPool:
        passed.update(arguments)
        return BoundedPool()

    monkeypatch.setattr(BoundedPool, "from_url", from_url)
    RedisDatastore(valkey("redis://h"), POOL)
    assert set(passed) == set(REDIS_OPTIONS)


def other(option: Option) -> str:
    """A value that a URL might have and the runtime does not."""
    if isinstance(option.value, bool):
        return str(not option.value).lower()
    return "stream" if option.value == "poll" else "77"


@pytest.mark.parametrize("name", MONGODB_OPTIONS)
def test_a_mongodb_url_contradicts_no_option(name: str) -> None:
    option = MONGODB_OPTIONS[name]
    if option.at_most is not None:
        for good in ("1", f"{option.at_most:g}"):
            mongodb_url.arguments(mongo(f"mongodb://h/?{name}={good}"), POOL, tz_aware=True)
        with pytest.raises(
            SettingsError, match=rf"{name} is not above 0 and up to 10000, which is AGENT_OPEN_TIMEOUT"
        ):
            mongodb_url.arguments(mongo(f"mongodb://h/?{name}=10001"), POOL, tz_aware=True)
        return
    with pytest.raises(
        SettingsError, match=rf"MONGODB_URL=\(hidden\): its {name} would override .*{option.set_by[:9]}"
    ):
        mongodb_url.arguments(mongo(f"mongodb://h/?{name.upper()}={other(option)}"), POOL, tz_aware=True)
    if option.value is not None:
        same = str(option.value).lower()
        assert (
            mongodb_url.arguments(mongo(f"mongodb://h/?{name}={same}"), POOL, tz_aware=True)[name]
            == option.value
        )


@pytest.mark.parametrize("name", REDIS_OPTIONS)
def test_a_redis_url_contradicts_no_option(name: str) -> None:
    option = REDIS_OPTIONS[name]
    if option.at_most is not None:
        wished = redis_arguments(f"redis://h?{name}=9.5")
        assert name not in wished, "the URL's own, which wins in redis-py"
        with pytest.raises(
            SettingsError, match=f"{name} is not above 0 and up to 10, which is AGENT_OPEN_TIMEOUT"
        ):
            redis_arguments(f"redis://h?{name}=nan")
        return
    with pytest.raises(
        SettingsError, match=rf"REDIS_URL=\(hidden\): its {name} would override .*{option.set_by[:9]}"
    ):
        redis_arguments(f"redis://h?{name}={other(option)}")


def test_a_longer_connect_timeout_is_obeyed() -> None:
    client = MongoDB(
        mongo("mongodb://h/?connectTimeoutMS=9000", AGENT_OPEN_TIMEOUT_SECONDS="12"), POOL, ()
    ).client
    assert client.options.pool_options.connect_timeout == 9


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mongodb://h/?w=0", "its w=0"),
        ("mongodb://h/?maxpoolsize=", "option maxpoolsize"),
        ("mongodb://h/?poolSize=3", "option poolSize: it has no such name"),
        ("mongodb://h/?connectTimeoutMS=soon", "option connectTimeoutMS"),
        ("mongodb://h/?w=1&w=2", "it has w twice"),
        ("mongodb://h/?tls=true&tlsCAFile=/nowhere/ca.pem", "tlsCAFile='/nowhere/ca.pem': No such file"),
        ("mongodb://h/a.b", "PyMongo refuses it|a database's name"),
        ("redis://h?poolsize=3", "it has an option 'poolsize'"),
        ("redis://h?max_connections=", "its option max_connections has no value"),
        (
            "redis://h?max_connections=abc",
            "does not take its port, or the value of one of its options .max_connections",
        ),
        ("redis://h:70000", "redis-py does not take its port"),
        ("rediss://h?ssl_ca_certs=/nowhere/ca.pem", "ssl_ca_certs='/nowhere/ca.pem': No such file"),
        ("rediss://h?ssl_keyfile=/nowhere/key.pem", "ssl_keyfile='/nowhere/key.pem': No such file"),
    ],
)
async def test_what_a_driver_would_pass_over_or_raise_at_is_refused_by_name(url: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told) as error:
        async with opened(url):
            pass
    assert error.value.__cause__ is None
    name, before = ("redis" if url.startswith("redis") else "mongodb"), failures()
    with pytest.raises(SettingsError):
        async with opened(url):
            pass
    assert {k: v - before[k] for k, v in failures().items()} == {"mongodb": 0, "redis": 0} | {name: 1}


def failures() -> dict[str, float]:
    read = partial(REGISTRY.get_sample_value, "agent_datastore_open_failures_total")
    return {name: read({"datastore": name}) or 0.0 for name in ("mongodb", "redis")}


@pytest.mark.parametrize("name", ["tlsCAFile", "tlsCertificateKeyFile"])
async def test_a_certificate_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(SettingsError, match=r"PyMongo refuses it .* certificates in PEM form"):
        async with opened(f"mongodb://h/?tls=true&{name}={tmp_path}/ca.pem"):
            pass


def test_every_option_that_a_redis_url_can_have_is_known() -> None:
    """redis-py reads these by type; a new one among them is looked at before it may pass."""
    ours = {*REDIS_OPTIONS, *redis_url.FREE, "legacy_responses"}
    assert set(URL_QUERY_ARGUMENT_PARSERS) <= ours
    assert {name.lower() for name in MONGODB_OPTIONS} <= set(VALIDATORS)


def test_a_line_end_of_a_secret_file_is_no_part_of_it() -> None:
    assert mongodb_url.database(mongo("mongodb://h/hotel\n")) == "hotel"


# Secrets.

WORD = "hunter2"
ODD = [
    f"redis://{WORD}#tail@127.0.0.1:1",
    f"redis://u:{WORD}#tail@127.0.0.1:1",
    f"redis://u:{WORD}/tail@127.0.0.1:1",
    f"redis://u:{WORD}?tail@127.0.0.1:1",
    f"redis://u:{WORD}[tail@127.0.0.1:1",
    f"redis://u:{WORD}]tail@127.0.0.1:1",
    f"redis://u:{WORD} tail@127.0.0.1:1",
    f"redis://u:tail@{WORD}@127.0.0.1:1",
    f"redis://:{WORD}",
    f"redis://:{WORD}@",
    "redis://:20261129/hunter2@127.0.0.1:1",
    "redis://20261129/hunter2@127.0.0.1:1",
    f"redis://127.0.0.1:1/0?password={WORD}&max_connections=abc",
    f"redis://127.0.0.1:1/0?password={WORD}&port=1",
    f"redis://u:{WORD}@127.0.0.1:99999",
    f"redis://u:{WORD}@127.0.0.1:1/zero",
    f"redis://u:{WORD}@127.0.0.1:1",
    f"redis://u:{WORD}%40%2Ftail@127.0.0.1:1",
    f"redis+sentinel://u:{WORD}/tail@127.0.0.1:1/service",
    f"redis+sentinel://u:{WORD}#tail@127.0.0.1:1/service",
    f"redis+sentinel://u:tail@{WORD}@127.0.0.1:1/service",
    f"redis+sentinel://127.0.0.1:1/service?sentinel_password={WORD}",
    f"rediss://127.0.0.1:1?ssl_password={WORD}&ssl_min_version=x",
    f"mongodb://u:{WORD}@tail@127.0.0.1:1",
    f"mongodb://u:tail@{WORD}@127.0.0.1:1",
    f"mongodb://{WORD}@u:tail@127.0.0.1:1/?w=1",
    f"mongodb://u:{WORD}/tail@127.0.0.1:1",
    f"mongodb://u:{WORD}?tail@127.0.0.1:1",
    f"mongodb://u:{WORD}#tail@127.0.0.1:1",
    f"mongodb://u:{WORD}:tail@127.0.0.1:1",
    f"mongodb://u:{WORD}%tail@127.0.0.1:1",
    f"mongodb://u:{WORD},tail@127.0.0.1:1/?serverSelectionTimeoutMS=50",
    f"mongodb://:{WORD}@127.0.0.1:1",
    "mongodb://u:20261129/hunter2@127.0.0.1:1",
    f"mongodb://u:{WORD}@127.0.0.1:99999",
    f"mongodb://u:{WORD}@127.0.0.1:1/?tlsCertificateKeyFilePassword={WORD}&serverSelectionTimeoutMS=50",
    f"mongodb://127.0.0.1:1/?authMechanismProperties=AWS_SESSION_TOKEN:{WORD}&serverSelectionTimeoutMS=50",
    f"mongodb://u:{WORD}@127.0.0.1:1/?serverSelectionTimeoutMS=50",
    f"mongodb://u:{WORD}@127.0.0.1:1/a.b.c$?serverSelectionTimeoutMS=50",
    f"mongodb+srv://u:{WORD}@127.0.0.1",
    f"mongodb+srv://u:{WORD}@a.b.c:27017",
]


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[None]:
    with lifespan_scope(Scope("job", 1.0)):
        async with redis(settings=valkey(url)) if url.startswith("redis") else mongodb(settings=mongo(url)):
            yield


@pytest.mark.parametrize("url", ODD)
async def test_nothing_of_a_password_is_told(
    url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = await everything_told(opened(url), caplog, monkeypatch)
    assert not [part for part in (WORD, "tail@", "20261129") if part in told], told
