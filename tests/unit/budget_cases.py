"""Stack configs for the tests of the budget: one worked example, and hypothesis's idea of all the others."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from infra.config import StackConfig, parse_config
from infra.config.plans import plan_names

Values = dict[str, dict[str, Any]]

# No deadline: a test machine that builds something else beside is slow, not wrong.
QUICK = settings(max_examples=40, deadline=None)

# Ten pods of 25 slots, one fast rollout within the grace period, MongoDB with a pool of 2 that polls.
WORKED_EXAMPLE: Values = {
    "fleet": {
        "jobs": 250,
        "slots": 25,
        "max_call_seconds": 3600,
        "rolling": {"mode": "fast", "surge": 3, "rollouts_per_grace_period": 1},
    },
    "mongodb": {"plan": "atlas-m20", "pool": 2, "monitoring": "poll", "worker_pool": 1, "reserve": 20},
    "redis": {"plan": "elasticache-node"},
}


def configured(changes: dict[str, Any] | None = None, base: Values = WORKED_EXAMPLE) -> StackConfig:
    """The base with some dotted keys changed; None takes a key out."""
    values: dict[str, Any] = deepcopy(base)
    for key, value in (changes or {}).items():
        *parents, last = key.split(".")
        inside = values
        for parent in parents:
            inside = inside.setdefault(parent, {})
        if value is None:
            inside.pop(last, None)
        else:
            inside[last] = value
    return parse_config(values, "test")


_FAST = st.fixed_dictionaries(
    {"mode": st.just("fast"), "surge": st.integers(1, 20), "rollouts_per_grace_period": st.integers(1, 5)}
)
_STRICT = st.fixed_dictionaries(
    {"mode": st.just("strict"), "surge": st.integers(1, 20), "failure_spare": st.integers(0, 20)}
)
_CONSUMERS = st.dictionaries(
    st.sampled_from(["api", "exporter", "indexes"]),
    st.fixed_dictionaries({"processes": st.integers(1, 50), "connections": st.integers(1, 20)}),
)


def _server(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    plans = [{"plan": plan} for plan in plan_names(kind)]
    limits = st.builds(lambda limit: {"limit": limit}, st.integers(1, 100_000))
    return st.one_of(st.just({}), limits, *([st.sampled_from(plans)] if plans else []))


_FLEETS = st.fixed_dictionaries(
    {
        "jobs": st.integers(1, 5000),
        "slots": st.integers(1, 100),
        "max_call_seconds": st.integers(1, 7200),
        "rolling": st.one_of(_FAST, _STRICT),
    },
    optional={
        "goodbye_seconds": st.integers(1, 120),
        "pre_stop_seconds": st.integers(0, 60),
        "session_end_timeout_seconds": st.integers(1, 600),
        "worker_start_seconds": st.integers(1, 600),
        "platform": st.sampled_from(["gke", "aks", "eks", "cluster-autoscaler"]),
    },
)
_POOLS = {
    "pool": st.integers(1, 200),
    "worker_pool": st.integers(0, 10),
    "reserve": st.integers(1, 100),
    "consumers": _CONSUMERS,
}
_MONGODBS = st.builds(
    lambda server, rest: server | rest,
    _server("mongodb"),
    st.fixed_dictionaries(
        _POOLS | {"monitoring": st.sampled_from(["poll", "stream"]), "nodes": st.integers(1, 7)}
    ),
)


def _redis(
    server: dict[str, Any], rest: dict[str, Any], sentinels: int, cluster: dict[str, Any] | None
) -> dict[str, Any]:
    """Behind Sentinels, or a Cluster, or neither."""
    if cluster and ("plan" in server or "limit" in server):
        return server | rest | {"cluster": cluster}
    return server | rest | ({} if "plan" in server else {"sentinels": sentinels})


_REDISES = st.builds(
    _redis,
    _server("redis"),
    st.fixed_dictionaries(_POOLS | {"pubsub": st.integers(0, 3), "blocking": st.integers(0, 3)}),
    st.integers(0, 5),
    st.one_of(
        st.none(), st.fixed_dictionaries({"shards": st.integers(1, 20), "replicas": st.integers(0, 3)})
    ),
)
_OTHERS = st.fixed_dictionaries(
    {},
    optional={
        name: st.builds(
            lambda server, rest: server | rest,
            _server(name),
            st.fixed_dictionaries(
                _POOLS | {"nodes": st.integers(1, 7)}, optional={"beside_pool": st.integers(0, 3)}
            ),
        )
        for name in ("weaviate", "elasticsearch", "postgresql")
    },
)


_ROUTERS = st.fixed_dictionaries(
    {"machines": st.integers(1, 200), "workers_per_machine": st.integers(1, 4)},
    optional={"shards": st.integers(1, 4), "pool": st.integers(1, 40)},
)


def _arranged(values: Values, routers: dict[str, Any] | None, cells: int) -> Values:
    mongodb, fleet = values["mongodb"], values["fleet"]
    if routers and "plan" not in mongodb:
        mongodb = mongodb | {"routers": routers}
    return values | {"fleet": fleet | {"cells": cells}, "mongodb": mongodb}


def arranged_values() -> st.SearchStrategy[Values]:
    """The same, some of them behind routers, some in cells."""
    return st.builds(_arranged, all_values(), st.one_of(_ROUTERS, st.none()), st.integers(1, 3))


def all_values() -> st.SearchStrategy[Values]:
    """Any stack a user may reasonably write, fitting or not."""
    return st.fixed_dictionaries(
        {"fleet": _FLEETS, "mongodb": _MONGODBS, "redis": _REDISES}, optional={"datastores": _OTHERS}
    )
