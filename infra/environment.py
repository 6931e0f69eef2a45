"""The solved budget as the environment of a worker. Addresses and secrets come from elsewhere."""

from __future__ import annotations

from infra.solution import Solution


def worker_environment(solution: Solution) -> dict[str, str]:
    """The variables that `agent/runtime/settings.py` reads; seconds and counts as decimal digits."""
    fleet, time = solution.fleet, solution.time
    mongodb, redis = solution.datastores["mongodb"], solution.datastores["redis"]
    if mongodb.monitoring is None:
        raise ValueError("a solved MongoDB budget names its monitoring")
    return {
        "AGENT_SLOTS": str(fleet.slots),
        "AGENT_IDLE_PROCESSES": str(fleet.idle_processes),
        "AGENT_MAX_CALL_SECONDS": str(time.max_call_seconds),
        "AGENT_GOODBYE_SECONDS": str(time.goodbye_seconds),
        "AGENT_DRAIN_TIMEOUT_SECONDS": str(time.drain_timeout_seconds),
        "AGENT_SESSION_END_TIMEOUT_SECONDS": str(time.session_end_timeout_seconds),
        "AGENT_OPEN_TIMEOUT_SECONDS": str(time.open_timeout_seconds),
        "AGENT_CLOSE_TIMEOUT_SECONDS": str(time.close_timeout_seconds),
        "AGENT_JOB_END_SECONDS": str(time.job_end_seconds),
        "MONGODB_POOL": str(mongodb.pool),
        "MONGODB_MONITORING": mongodb.monitoring,
        "MONGODB_WORKER_POOL": str(mongodb.worker_pool),
        "MONGODB_CONNECTIONS_PER_WORKER": str(mongodb.connections_per_worker),
        "REDIS_POOL": str(redis.pool),
        "REDIS_WORKER_POOL": str(redis.worker_pool),
        "REDIS_CONNECTIONS_PER_WORKER": str(redis.connections_per_worker),
        "AGENT_BUDGET_DIGEST": solution.digest,
    }
