"""`python -m infra.scale` writes SCALE.md: the production stack at 1 000 to 1 000 000 calls at once, solved.

A test compares the page with what the solver says today.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from infra.budget import in_cells, jobs_per_cell, machines_for, solve, tenth_of
from infra.budget.explore import most_jobs, plan_changes
from infra.budget.solution import Solution, grouped
from infra.budget.suggestions import Changes
from infra.config import StackConfig, apply_overrides, load_config
from infra.config.plans import plans_of
from infra.datastores import MONGODB_SHARDS
from infra.datastores.mongodb import ATLAS
from infra.report.tables import duration

HERE = Path(__file__).parent
PAGE = HERE / "SCALE.md"
BASE = HERE.parent / "Pulumi.production.yaml"

CALLS = (1_000, 10_000, 100_000, 1_000_000)
LARGEST_CELL = 10_000
"""Calls that one may lose at once with a cell's database; a choice, not a limit."""
MOST_SURGE = 1_000  # as the schema has it
WORKERS_PER_MACHINE = 4
"""A machine of 16 cores takes four workers of 25 slots, by LiveKit's own rule of 4 cores for 25 voice calls."""

TEXT = """\
# From 1 000 to 1 000 000 calls at once

Written by `python -m infra.scale` from [Pulumi.production.yaml](../Pulumi.production.yaml): {slots} slots a
worker, MongoDB pool {mongodb_pool} with a {monitoring}ing monitor, Redis pool {redis_pool}, calls of {call}.
Every figure is the solver's; a test fails when it says something else. What was executed is one cell on one
machine; no fleet of this size was run.

**A cell** is a stack: a fleet, its MongoDB, its Redis, and a LiveKit cluster (livekit-server nodes with a
Redis of their own). Cells share nothing, so that a limit, a fault or a rollout is one cell's. A caller is
sent to a cell by whoever makes the room: its LiveKit URL is all there is to choose. The next row is more
cells, not a cleverer pool.

**Surge** is a tenth of the fleet here (1 000 at most); *strict* has a failure spare of a tenth besides.

{cells}

*MongoDB a node*: what any member of the cell's replica set may see, and the smallest Atlas plan that takes
it; connections cost it about 1 MB each, beside its cache. *All connections*: every node of every cell, at the
peak of all of them. *Workers' memory*: of all pods at that peak, by `fleet.pod` (measure your own agent).

## One cell, by plan

`make budget STACK=infra/Pulumi.production.yaml PICTURES=infra/report` draws both; `WHATIF="mongodb.pool=3"` redraws
them for another stack.

![Where the connections of the production stack go](waterfall.png)

![Calls at once by plan, for several pools and both ways to roll](jobs-by-plan.png)

## Where a cell ends

{ends}

## One sharded MongoDB for all cells

A sharded cluster does not help by itself: a driver connects to every mongos it is told of. It helps where
each job is told of one only, on its own machine: a mongos on every machine of the workers' node pool
(`mongodb.routers`), which holds {router_pool} connections to each member, whatever number of jobs stands
before it. So the shards' connections follow machines, not calls. Callers and transcripts are then in one
place for all cells; Redis and LiveKit stay each cell's own; a proxy for Redis saves nothing that runs out
([measured](../tests/benchmarks/MULTIPLEXER.md)). On paper: no mongos was available for a test, and
what it costs in milliseconds is the network's way to the same machine and back.

{sharded}

The last rows say that one cluster is not for everybody either: 240 000 connections are 240 GB of a member's
memory. From some 100 000 calls on, the sharded clusters are cells, too.

A provider's own mongos (Atlas) run on the shards' machines; every client sees all of them, unless
`srvMaxHosts` cuts the list. That spreads connections by chance, and chance is no bound: this page does not
count on it.

## Redis Cluster

It divides memory and commands, not connections: a job has a pool for every node that holds one of its keys,
so each of *n* nodes sees what the one node above sees, and all together *n* times that. It is for data that
does not fit one node. For connections, cells are the answer: a job's keys (its call's state) belong to its
cell.

## Several LiveKit clusters

LiveKit offers a job to the workers that are registered with its own cluster, and keeps a WebSocket to each of
them: as many as the column *workers at the peak* says, divided by cells. A cell of its own per LiveKit
cluster keeps both numbers small, and `agent_name` the same everywhere. `place_call` is given the URL of the
cell.
"""


def cell_of(calls: int, cells: int, mode: str) -> StackConfig:
    """The production stack with this cell's share of the calls, on the smallest plan that takes it."""
    base = load_config(BASE)
    jobs = jobs_per_cell(calls, cells)
    workers = solve(apply_overrides(base, {"fleet.jobs": jobs})).fleet.max_replicas
    tenth = min(tenth_of(workers), MOST_SURGE)
    rolling: Changes = {"mode": mode, "surge": tenth}
    if mode == "strict":
        rolling["failure_spare"] = tenth
    cell = apply_overrides(base, {"fleet.jobs": jobs, "fleet.rolling": rolling})
    fit = next(fit for fit in solve(cell).datastores["mongodb"].smallest_plans if fit.family == ATLAS.title)
    return apply_overrides(cell, plan_changes(fit.plan)) if fit.plan else cell


def sharded(calls: int, mode: str) -> StackConfig:
    """The MongoDB side of all cells together, behind routers."""
    config = cell_of(calls, 1, mode)
    machines = machines_for(solve(config).fleet.workers_at_peak, WORKERS_PER_MACHINE)
    routers = {"machines": machines, "workers_per_machine": WORKERS_PER_MACHINE, "shards": 4}
    return apply_overrides(config, {"mongodb.plan": None, "mongodb.routers": routers})


def page() -> str:
    """The whole page, as it has to stand in `PAGE`."""
    base = load_config(BASE)
    return TEXT.format(
        slots=base.fleet.slots,
        mongodb_pool=base.mongodb.pool,
        monitoring=base.mongodb.monitoring,
        redis_pool=base.redis.pool,
        call=duration(base.fleet.max_call_seconds),
        router_pool=solve(sharded(CALLS[0], "fast")).datastores[MONGODB_SHARDS.name].pool,
        cells="\n".join(_cells()),
        ends="\n".join(_ends()),
        sharded="\n".join(_sharded()),
    )


def _cells() -> Iterator[str]:
    yield _row(
        "calls at once",
        "cells",
        "rolling",
        "workers",
        "at the peak",
        "MongoDB a node",
        "plan",
        "Redis a node",
        "all connections",
        "workers' memory",
        "rollout at most",
    )
    yield "|--:|--:|---|--:|--:|--:|---|--:|--:|--:|--:|"
    for calls in CALLS:
        cells = machines_for(calls, LARGEST_CELL)
        for mode in ("fast", "strict"):
            solution = solve(cell_of(calls, cells, mode))
            total = in_cells(solution, cells)
            mongodb, redis = solution.datastores["mongodb"], solution.datastores["redis"]
            yield _row(
                grouped(calls),
                grouped(cells),
                mode,
                grouped(total.workers),
                grouped(total.workers_at_peak),
                grouped(mongodb.total),
                mongodb.plan or "",
                grouped(redis.total),
                grouped(sum(total.connections.values())),
                f"{grouped(total.pods_gib)} GiB",
                duration(solution.time.rollout_seconds),
            )


def _ends() -> Iterator[str]:
    largest = plans_of(ATLAS)[-1].name
    yield _row("rolling", "most calls of a cell", "what ends it", "MongoDB a node", "Redis a node")
    yield "|---|--:|---|--:|--:|"
    for mode in ("fast", "strict"):
        cell = apply_overrides(cell_of(LARGEST_CELL, 1, mode), plan_changes(largest))
        most = most_jobs(cell) or 0
        over = solve(apply_overrides(cell, {"fleet.jobs": most + 1}))
        ends = [
            f"{one.title} ({one.plan}, {grouped(one.limit)})"
            for one in over.datastores.values()
            if not one.fits
        ]
        at = solve(apply_overrides(cell, {"fleet.jobs": most})).datastores
        yield _row(
            mode, grouped(most), ", ".join(ends), grouped(at["mongodb"].total), grouped(at["redis"].total)
        )


def _sharded() -> Iterator[str]:
    yield _row(
        "calls at once",
        "rolling",
        "machines",
        "a mongos",
        "a shard's member",
        "its memory for them",
        "without mongos",
    )
    yield "|--:|---|--:|--:|--:|--:|--:|"
    for calls in CALLS:
        for mode in ("fast", "strict"):
            config = sharded(calls, mode)
            solution = solve(config)
            shards = solution.datastores[MONGODB_SHARDS.name]
            yield _row(
                grouped(calls),
                mode,
                grouped(solution.datastores["mongodb"].nodes),
                grouped(solution.datastores["mongodb"].total),
                grouped(shards.total),
                f"{grouped(in_cells(solution, 1).mongodb_connections_mib)} MiB",
                grouped(_direct(config).datastores["mongodb"].total),
            )


def _direct(config: StackConfig) -> Solution:
    return solve(apply_overrides(config, {"mongodb.routers": None}))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def write() -> None:
    """Writes the page anew."""
    PAGE.write_text(page(), encoding="utf-8")
