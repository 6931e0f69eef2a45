"""All datastores of a stack, for a fleet."""

from __future__ import annotations

from infra.budget.mongodb import mongodb_datastores
from infra.budget.others import other_datastore
from infra.budget.redis import redis_datastore, sentinel_datastore
from infra.budget.solution import Datastore, Fleet
from infra.config import StackConfig


def datastores_of(config: StackConfig, fleet: Fleet) -> dict[str, Datastore]:
    """By name, as the solution has them."""
    found = [*mongodb_datastores(config.mongodb, fleet), redis_datastore(config.redis, fleet)]
    if config.redis.sentinels:
        found.append(sentinel_datastore(config.redis, fleet))
    # In the order of their names: the order in the file must matter to nothing.
    found += [other_datastore(name, other, fleet) for name, other in sorted(config.datastores.items())]
    return {datastore.name: datastore for datastore in found}
