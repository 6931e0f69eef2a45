"""What MONGODB_URL says, and what it may not: the database, and every option beside those that the runtime sets."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any, NoReturn
from urllib.parse import unquote

from pymongo.common import validate
from pymongo.errors import PyMongoError
from pymongo.uri_parser import split_options

from agent.runtime.datastores.urls import URL, Option, check_files, obey, read, refuse
from agent.runtime.settings import MongoDBSettings

VARIABLE = "MONGODB_URL"
FORM = "mongodb[+srv]://[user:password@]host[:port][,host[:port]…]/[database][?options]"
# A dead peer is noticed within this many seconds even where packets vanish without a reset.
SOCKET_TIMEOUT_MS = 10_000
CONNECT_TIMEOUT_MS = 3_000
SERVER_SELECTION_TIMEOUT_MS = 5_000
IDLE_TIMEOUT_MS = 60_000
# How soon an idle client notices that its server died, and its gauge with it; PyMongo's default of 10 s is too late for
# gauges that are true within 5 s. A look is one small command.
HEARTBEAT_MS = 2_500

DEFAULT_DATABASE = "agent"
# Their users are in `$external`, never in the URL's database (pymongo/auth_shared.py).
_USERS_ELSEWHERE = {"GSSAPI", "MONGODB-X509", "MONGODB-AWS", "MONGODB-OIDC"}
_FILES = ("tlscafile", "tlscertificatekeyfile", "tlscrlfile")


def options(settings: MongoDBSettings, pool: int, *, tz_aware: bool) -> dict[str, Option]:
    """Every option that the runtime gives PyMongo, by PyMongo's name."""
    ours = "what the runtime's deadlines and gauges rest on"
    opening = partial(
        Option,
        set_by="",
        at_most=settings.open_seconds * 1000,
        bound="AGENT_OPEN_TIMEOUT_SECONDS in milliseconds",
    )
    return {
        "maxPoolSize": Option(pool, "the budget's MONGODB_POOL (in the worker lifespan MONGODB_WORKER_POOL)"),
        "minPoolSize": Option(0, ours),
        "maxConnecting": Option(2, ours),
        "waitQueueTimeoutMS": Option(round(settings.wait_seconds * 1000), "MONGODB_WAIT_SECONDS"),
        "serverMonitoringMode": Option(settings.monitoring, "the budget's MONGODB_MONITORING"),
        "serverSelectionTimeoutMS": opening(SERVER_SELECTION_TIMEOUT_MS),
        "connectTimeoutMS": opening(CONNECT_TIMEOUT_MS),
        "socketTimeoutMS": Option(SOCKET_TIMEOUT_MS, ours),
        # With it PyMongo forgets the wait for the pool and the socket's timeout.
        "timeoutMS": Option(None, "MONGODB_WAIT_SECONDS and socketTimeoutMS"),
        "maxIdleTimeMS": Option(IDLE_TIMEOUT_MS, ours),
        "heartbeatFrequencyMS": Option(HEARTBEAT_MS, ours),
        "tz_aware": Option(tz_aware, "the argument of `mongodb(tz_aware=…)`"),
    }


def arguments(settings: MongoDBSettings, pool: int, *, tz_aware: bool) -> dict[str, Any]:
    """PyMongo's keyword arguments; in PyMongo they win over the URL.

    Raises:
        SettingsError: the URL cannot be read, or one of its options is unknown, unusable or not its to set.
    """
    url = read(VARIABLE, settings.url.get_secret_value(), FORM)
    table = options(settings, pool, tz_aware=tz_aware)
    names = {name.lower(): name for name in table}
    wished = {names.get(name, name): value for name, value in _query(url).items()}
    if wished.get("w") == 0:
        refuse(
            VARIABLE,
            "its w=0 has a write that is lost counted as stored; accepted: w=1 and more, or majority",
        )
    return obey(VARIABLE, table, wished, lambda name, value: validate(name, value)[1])


def database(settings: MongoDBSettings) -> str:
    """The database of the documents: MONGODB_DATABASE, the URL's path, or `agent`.

    Raises:
        SettingsError: the two contradict each other; or the path is where the user is kept (credentials, no
            `authSource`), and nothing says whether the documents are there, too.
    """
    url = read(VARIABLE, settings.url.get_secret_value(), FORM)
    path, given = unquote(url.path), settings.database
    if not path:
        return given or DEFAULT_DATABASE
    if _is_where_the_user_is(settings, url):
        if given is None and path != "admin":
            _ask_which(path)
        return given or DEFAULT_DATABASE
    if given not in (None, path):
        refuse(
            VARIABLE,
            f"its path says database {path!r}, and MONGODB_DATABASE={given!r}; accepted: one of the two",
        )
    return path


def check_source(settings: MongoDBSettings, source: str | None) -> None:
    """Once a mongodb+srv:// URL is resolved, whose DNS record may say where its user is kept: `source`.

    Raises:
        SettingsError: see `database`.
    """
    path = unquote(read(VARIABLE, settings.url.get_secret_value(), FORM).path)
    if path and settings.database is None and source == path and _is_srv(settings):
        _ask_which(path)


def _ask_which(path: str) -> NoReturn:
    refuse(
        VARIABLE,
        f"its path {path!r} is where its user is kept, for nothing says authSource. Are the documents there, too? "
        f"accepted: MONGODB_DATABASE beside it ({path}, or the one that they are in), or authSource in the URL",
    )


def only_the_path_says_it(settings: MongoDBSettings) -> bool:
    """Whether the database is another than up to version 0.1.0, which ignored the path."""
    return settings.database is None and database(settings) != DEFAULT_DATABASE


def _is_where_the_user_is(settings: MongoDBSettings, url: URL) -> bool:
    query = _query(url)
    elsewhere = "authsource" in query or query.get("authmechanism") in _USERS_ELSEWHERE
    return url.has_user and not elsewhere and not _is_srv(settings)


def _is_srv(settings: MongoDBSettings) -> bool:
    """Its authSource may stand in its DNS record, as Atlas's does."""
    return settings.url.get_secret_value().startswith("mongodb+srv://")


def _query(url: URL) -> Mapping[str, Any]:
    """The query as PyMongo reads it, by lower-case names."""
    read_: dict[str, Any] = {}
    for part in filter(None, url.query.replace(";", "&").split("&")):
        name, _, value = part.partition("=")
        if name.lower() in _FILES:
            check_files(VARIABLE, [(name, unquote(value))])
        try:
            with warnings.catch_warnings(action="error"):
                one = split_options(part, validate=True, warn=False, normalize=True)
        except (PyMongoError, ValueError, TypeError, Warning):
            refuse(
                VARIABLE, f"PyMongo does not take its option {name}: it has no such name, or not that value"
            )
        for key, parsed in one.items():
            if key.lower() in read_ and key.lower() != "readpreferencetags":
                refuse(VARIABLE, f"it has {name} twice")
            read_[key.lower()] = parsed
    return read_
