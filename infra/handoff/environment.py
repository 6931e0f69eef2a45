"""The solved budget as the environment of a worker. Addresses and secrets come from elsewhere."""

from __future__ import annotations

from infra.budget.solution import Datastore, Solution
from infra.datastores import REDIS, REDIS_SENTINEL, kind_of


def worker_environment(solution: Solution) -> dict[str, str]:
    """The variables that `agent/runtime/settings.py` reads; seconds and counts as decimal digits."""
    fleet, time = solution.fleet, solution.time
    variables = {
        "AGENT_SLOTS": str(fleet.slots),
        "AGENT_IDLE_PROCESSES": str(fleet.idle_processes),
        "AGENT_MAX_CALL_SECONDS": str(time.max_call_seconds),
        "AGENT_GOODBYE_SECONDS": str(time.goodbye_seconds),
        "AGENT_REJOIN_SECONDS": str(time.rejoin_seconds),
        "AGENT_DRAIN_TIMEOUT_SECONDS": str(time.drain_timeout_seconds),
        "AGENT_SESSION_END_TIMEOUT_SECONDS": str(time.session_end_timeout_seconds),
        "AGENT_OPEN_TIMEOUT_SECONDS": str(time.open_timeout_seconds),
        "AGENT_CLOSE_TIMEOUT_SECONDS": str(time.close_timeout_seconds),
        "AGENT_SHUTDOWN_CALLBACKS_SECONDS": str(time.shutdown_callbacks_seconds),
        "AGENT_SHUTDOWN_PROCESS_TIMEOUT_SECONDS": str(time.shutdown_process_timeout_seconds),
        "AGENT_JOB_END_SECONDS": str(time.job_end_seconds),
        "AGENT_BUDGET_DIGEST": solution.digest,
    }
    for datastore in solution.datastores.values():
        # It is Redis's client that dials Sentinels, and a mongos that dials shards.
        if kind_of(datastore.name).opened:
            variables |= _pools(datastore)
    # Held against what the worker's URL names.
    if sentinels := solution.datastores.get(REDIS_SENTINEL.name):
        variables["REDIS_SENTINELS"] = str(sentinels.nodes)
    if (redis := solution.datastores[REDIS.name]).nodes > 1:
        variables["REDIS_NODES"] = str(redis.nodes)
    return variables


def _pools(datastore: Datastore) -> dict[str, str]:
    prefix = datastore.name.upper()
    variables = {
        f"{prefix}_POOL": str(datastore.pool),
        f"{prefix}_WORKER_POOL": str(datastore.worker_pool),
        f"{prefix}_CONNECTIONS_PER_WORKER": str(datastore.granted_per_worker),
    }
    if datastore.monitoring is not None:
        variables[f"{prefix}_MONITORING"] = datastore.monitoring
    return variables
