"""What REDIS_URL says, and what it may not: the database, and every option beside those that the runtime sets."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, unquote

from redis.asyncio.connection import parse_url, to_bool
from redis.asyncio.retry import Retry
from redis.backoff import EqualJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, RedisError
from redis.maint_notifications import MaintNotificationsConfig

from agent.runtime.datastores.urls import Option, check_files, obey, read, refuse
from agent.runtime.settings import RedisSettings

VARIABLE = "REDIS_URL"
FORM = "redis[s]://[user:password@]host[:port][/db][?options]"
CONNECT_TIMEOUT_SECONDS = 3.0
# An idle connection is checked before use when it was silent this long: a restarted server is noticed.
HEALTH_CHECK_SECONDS = 30
# Over 0.7 to 1.4 s in all: half of each pause is drawn, so that a fleet does not come back in step. (With pauses drawn
# as a whole, which may be none, jobs of a fleet dialled twice as often; measured, tests/faults/rows_outage.py.)
RETRIES = 3

# What a URL may say beside them. redis-py takes any keyword there, the pool's and its own private ones too.
_FILES = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")
_TLS = (
    "ssl_ca_data", "ssl_cert_reqs", "ssl_check_hostname", "ssl_ciphers", "ssl_exclude_verify_flags",
    "ssl_include_verify_flags", "ssl_min_version", "ssl_password",
)  # fmt: skip
FREE = ("db", "username", "password", "protocol", "client_name", "encoding", "encoding_errors", "socket_read_size", *_FILES, *_TLS)  # fmt: skip  # noqa: E501


def retry(*errors: type[RedisError]) -> Retry:
    return Retry(EqualJitterBackoff(base=0.1, cap=1.0), RETRIES, errors)


def options(settings: RedisSettings, pool: int, *, decode_responses: bool) -> dict[str, Option]:
    """Every option that the runtime gives redis-py, by redis-py's name."""
    ours = "what the runtime's deadlines and gauges rest on"
    return {
        "max_connections": Option(pool, "the budget's REDIS_POOL (in the worker lifespan REDIS_WORKER_POOL)"),
        "timeout": Option(settings.wait_seconds, "REDIS_WAIT_SECONDS"),
        # from_url gives no retries unless the pool has them (measured, FACTS.md). A reply that did not come in time is
        # not asked for again: the server may have carried the command out. One that a replica has refused is asked for
        # anew, over another connection: a fail-over has moved the primary.
        "retry": Option(retry(RedisConnectionError, ReadOnlyError), ours),
        "retry_on_timeout": Option(value=False, set_by=ours),
        "socket_timeout": Option(settings.reply_seconds, "REDIS_REPLY_SECONDS"),
        "socket_connect_timeout": Option(
            CONNECT_TIMEOUT_SECONDS, "", at_most=settings.open_seconds, bound="AGENT_OPEN_TIMEOUT_SECONDS"
        ),
        "socket_keepalive": Option(value=True, set_by=ours),
        "health_check_interval": Option(HEALTH_CHECK_SECONDS, ours),
        "maint_notifications_config": Option(MaintNotificationsConfig(enabled=False), ours),
        # No CLIENT SETINFO: HELLO, with the password in it, is the one question at connecting.
        "driver_info": Option(None, ours),
        "decode_responses": Option(decode_responses, "the argument of `redis(decode_responses=…)`"),
    }


def arguments(settings: RedisSettings, text: str, pool: int, *, decode_responses: bool) -> dict[str, Any]:
    """redis-py's keyword arguments for `from_url(text)`; in redis-py the URL wins over them.

    Args:
        text: `REDIS_URL`, or what of it is the server's where it names Sentinels.

    Raises:
        SettingsError: the URL cannot be read, or one of its options is unknown, unusable or not its to set.
    """
    url = read(VARIABLE, text, FORM, may_lack_host=text != settings.url.get_secret_value())
    table = options(settings, pool, decode_responses=decode_responses)
    query = parse_qs(url.query, keep_blank_values=True)
    for name in query:
        if name not in table and name not in FREE:
            refuse(VARIABLE, f"it has an option {name!r}; accepted: {', '.join(FREE)}")
        if not query[name][0] or len(query[name]) > 1:  # redis-py passes it over, or takes the first
            refuse(VARIABLE, f"its option {name} has no value, or more than one")
    check_files(VARIABLE, [(name, query[name][0]) for name in _FILES if name in query])
    path = unquote(url.path)
    if path and not path.isdecimal():
        refuse(VARIABLE, "its path is no number, and redis-py would take database 0; accepted: /0 and up")
    if path and "db" in query:
        refuse(VARIABLE, "it says its database twice, by path and by db; accepted: one of the two")
    try:
        parsed: dict[str, Any] = {**parse_url(text)}
    except (ValueError, TypeError):  # their message may repeat a part of it
        names = ", ".join(name for name in query if name not in _TLS)
        refuse(
            VARIABLE,
            f"redis-py does not take its port, or the value of one of its options ({names or 'none'})",
        )
    if "decode_responses" in query:
        parsed["decode_responses"] = to_bool(query["decode_responses"][0])  # redis-py leaves it a text
    return obey(VARIABLE, table, {name: parsed[name] for name in query if name in parsed})
