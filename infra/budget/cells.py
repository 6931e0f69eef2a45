"""What several cells come to together."""

from __future__ import annotations

from infra.budget.arithmetic import ceil
from infra.budget.servers import MONGODB_CONNECTION_MIB
from infra.budget.solution import Cells, Solution
from infra.datastores import MONGODB, MONGODB_SHARDS


def in_cells(solution: Solution, cells: int) -> Cells:
    """What so many cells like this one come to together, at the peak of all of them."""
    at_peak = cells * solution.fleet.workers_at_peak
    mongodb = solution.datastores.get(MONGODB_SHARDS.name, solution.datastores[MONGODB.name])
    return Cells(
        cells=cells,
        jobs=cells * solution.fleet.jobs,
        workers=cells * solution.fleet.max_replicas,
        workers_at_peak=at_peak,
        connections={
            name: cells * datastore.nodes * datastore.total for name, datastore in solution.datastores.items()
        },
        mongodb_connections_mib=MONGODB_CONNECTION_MIB * mongodb.total,
        pods_gib=ceil(at_peak * solution.pod.memory_mib, 1024),
    )
