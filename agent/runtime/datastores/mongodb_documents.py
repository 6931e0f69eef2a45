"""Registers Beanie documents with a client without asking the server anything.

`init_beanie(skip_indexes=True)` still sends `buildInfo` and `listCollections` before every call's first document
(Beanie 2.2, odm/utils/init.py): the server's version is in the handshake already, and only time series and views need
to know which collections there are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import bson
from beanie import Document, View
from beanie.odm.utils.dump import get_dict
from beanie.odm.utils.init import Initializer
from pymongo.asynchronous.database import AsyncDatabase


class _Documents(Initializer):
    """Beanie's own, less its questions where their answers are not used."""

    async def _load_cached_info(self) -> None:
        if any(map(_asks_the_server, self.document_models)):
            await super()._load_cached_info()  # type: ignore[no-untyped-call]


def _asks_the_server(model: type[Any]) -> bool:
    return (
        issubclass(model, View) or getattr(getattr(model, "Settings", None), "timeseries", None) is not None
    )


async def register(database: AsyncDatabase[dict[str, Any]], models: Sequence[type[Document]]) -> None:
    """Bind the models to this client. Indexes are neither read nor made."""
    await _Documents(database=database, document_models=list(models), skip_indexes=True)


def tell_version(database: AsyncDatabase[dict[str, Any]], models: Sequence[type[Document]]) -> None:
    """Tell the registered models the server's major version, as the handshake of a connected client has it."""
    servers = database.client.topology_description.server_descriptions().values()
    major = major_version(max((server.max_wire_version for server in servers), default=0))
    for model in models:
        for cls in model.__mro__:
            if issubclass(cls, Document) and cls is not Document:
                cls._database_major_version = major  # as Beanie's Initializer does, after buildInfo


class _AnyDocument(Document):
    key: str


def warm_up(database: AsyncDatabase[dict[str, Any]]) -> None:
    """Have Beanie load what it loads at its first query, without a connection and without a loop.

    Registering sends nothing and waits for nothing, so its coroutine is over at its first step.
    """
    with contextlib.suppress(StopIteration):
        register(database, [_AnyDocument]).send(None)
    bson.encode(_AnyDocument.find_one({"key": ""}).get_filter_query())
    bson.encode(get_dict(_AnyDocument(key="")))


def major_version(max_wire_version: int) -> int:
    """MongoDB counts four wire versions a major release: 13 is 5.0, 17 is 6.0, 21 is 7.0, 25 is 8.0."""
    return 4 if max_wire_version < 13 else 5 + (max_wire_version - 13) // 4
