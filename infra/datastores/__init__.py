"""The registry: what each datastore is, said once. Other rooms ask here instead of comparing names.

kind_of("redis_sentinel").url_variable    # REDIS_URL: it is Redis's client that asks Sentinels
kind_of("postgresql").section             # datastores.postgresql: one of the user's own
"""

from __future__ import annotations

from collections.abc import Iterable

from infra.datastores.elasticsearch import ELASTICSEARCH
from infra.datastores.kind import ALWAYS, DatastoreKind, OwnServer, Sockets, further
from infra.datastores.mongodb import MONGODB, MONGODB_SHARDS, MONGOS
from infra.datastores.opensearch import OPENSEARCH
from infra.datastores.redis import REDIS, REDIS_CLUSTER, REDIS_SENTINEL
from infra.datastores.weaviate import WEAVIATE

KINDS: dict[str, DatastoreKind] = {
    kind.name: kind
    for kind in (MONGODB, MONGODB_SHARDS, REDIS, REDIS_SENTINEL, WEAVIATE, ELASTICSEARCH, OPENSEARCH)
}
"""Those that are known by name."""


def kind_of(name: str) -> DatastoreKind:
    """Of a row of the budget, by its name."""
    return KINDS.get(name) or further(name)


def url_variables(names: Iterable[str]) -> tuple[str, ...]:
    """The addresses that a worker is given to reach these, each once."""
    return tuple(dict.fromkeys(url for name in names if (url := kind_of(name).url_variable)))


__all__ = [
    "ALWAYS",
    "KINDS",
    "MONGODB",
    "MONGODB_SHARDS",
    "MONGOS",
    "REDIS",
    "REDIS_CLUSTER",
    "REDIS_SENTINEL",
    "DatastoreKind",
    "OwnServer",
    "Sockets",
    "kind_of",
    "url_variables",
]
