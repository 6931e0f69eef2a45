"""The registry: what each datastore is, said once. Other rooms ask here instead of comparing names.

kind_of("redis_sentinel").url_variable    # REDIS_URL: it is Redis's client that asks Sentinels
kind_of("billing").section                # datastores.billing: one of the user's own
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pkgutil import iter_modules

from infra.datastores.kind import ALWAYS, DatastoreKind, OwnServer, Sockets, further
from infra.datastores.mongodb import MONGODB, MONGODB_SHARDS, MONGOS
from infra.datastores.redis import REDIS, REDIS_CLUSTER, REDIS_SENTINEL

_SHARED = ("kind", "plan")


def _kinds() -> Iterable[DatastoreKind]:
    """Of every file here that is a datastore's: a new one is known by being there."""
    for module in iter_modules(__path__):
        if module.name not in _SHARED:
            kinds: tuple[DatastoreKind, ...] = import_module(f"{__name__}.{module.name}").KINDS
            yield from kinds


KINDS: dict[str, DatastoreKind] = {kind.name: kind for kind in _kinds()}
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
