"""Random stacks, small enough that ten thousand of them are run connection by connection."""

from __future__ import annotations

import random
from typing import Any

from infra.budget import solve
from infra.config import StackConfig, parse_config
from infra.config.plans import plan_names

# One whose client holds a channel beside its pool, one that is known, one of a user's own.
OTHERS = ("weaviate", "elasticsearch", "search_index")


def random_config(chance: random.Random) -> StackConfig:
    """Any stack a user may write, apart from its size; whether it fits does not matter to what it takes."""
    slots = chance.randint(1, 5)
    fleet = {
        "slots": slots,
        "jobs": chance.randint(1, 6 * slots),
        "max_call_seconds": chance.choice((1, 60, 600, 3600)),
        "goodbye_seconds": chance.choice((1, 30)),
        "session_end_timeout_seconds": chance.choice((1, 60, 300)),
        "pre_stop_seconds": chance.choice((0, 5)),
        "worker_start_seconds": chance.choice((5, 60, 300)),
        "rolling": _rolling(chance),
    }
    mongodb = _server(chance, "mongodb") | _pools(chance) | {"nodes": chance.choice((1, 1, 3, 5))}
    mongodb["monitoring"] = chance.choice(("poll", "stream"))
    redis = _server(chance, "redis") | _pools(chance)
    redis |= {"pubsub": chance.choice((0, 0, 1, 2)), "blocking": chance.choice((0, 0, 1))}
    if ("plan" in redis or "limit" in redis) and chance.random() < 0.3:
        redis["cluster"] = {"shards": chance.choice((1, 3)), "replicas": chance.choice((0, 1, 2))}
    elif "plan" not in redis:
        redis["sentinels"] = chance.choice((0, 0, 3))
    datastores = {name: _other(chance) for name in chance.sample(OTHERS, chance.choice((0, 0, 1, 2)))}
    sections = {"fleet": fleet, "mongodb": mongodb, "redis": redis, "datastores": datastores}
    config = parse_config(sections, "random")
    if "plan" not in mongodb and chance.random() < 0.3:
        mongodb["routers"] = _routers(chance, solve(config).fleet.workers_at_peak)
        config = parse_config(sections, "random")
    return config


def _routers(chance: random.Random, workers: int) -> dict[str, Any]:
    """On machines that take exactly the workers of the peak: each mongos has all that it may have then."""
    machines = chance.choice([number for number in range(1, workers + 1) if workers % number == 0])
    room = {"machines": machines, "workers_per_machine": workers // machines}
    return room | {"shards": chance.choice((1, 1, 2)), "pool": chance.choice((1, 3, 10))}


def _other(chance: random.Random) -> dict[str, Any]:
    other = _pools(chance) | {"limit": chance.randint(1, 2000), "nodes": chance.choice((1, 1, 3))}
    return other | chance.choice(({}, {}, {"beside_pool": chance.randint(0, 2)}))


def _rolling(chance: random.Random) -> dict[str, Any]:
    surge = chance.randint(1, 4)
    if chance.random() < 0.5:
        return {"mode": "fast", "surge": surge, "rollouts_per_grace_period": chance.choice((1, 1, 2, 3))}
    return {"mode": "strict", "surge": surge, "failure_spare": chance.randint(0, 3)}


def _server(chance: random.Random, kind: str) -> dict[str, Any]:
    match chance.randrange(3):
        case 0:
            return {"plan": chance.choice(plan_names("mongodb" if kind == "mongodb" else "redis"))}
        case 1:
            return {"limit": chance.randint(1, 2000)}
    return {}


def _pools(chance: random.Random) -> dict[str, Any]:
    names = chance.sample(("api", "exporter", "indexes"), chance.randrange(3))
    return {
        "pool": chance.choice((1, 2, 2, 3, 5)),
        "worker_pool": chance.choice((0, 1, 1, 2)),
        "reserve": chance.randint(1, 30),
        "consumers": {
            name: {"processes": chance.randint(1, 4), "connections": chance.randint(1, 6)} for name in names
        },
    }
