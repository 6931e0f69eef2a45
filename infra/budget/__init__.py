"""The budget: from the promise (calls at once) to every number that is deployed. Pure; this room alone calculates.

For each datastore, on every node of it (any member of a replica set may become primary):

    workers_at_peak × (slots × per_job + per_worker) + Σ consumers (processes × connections)
        + what the provider keeps back + reserve  <=  limit

`python -m infra.budget FILE [--json]` solves a stack file and prints where every connection goes.
"""

from __future__ import annotations

from infra.budget.cells import in_cells
from infra.budget.fleet import jobs_for, jobs_per_cell, machines_for, tenth_of
from infra.budget.identity import digest
from infra.budget.mixed import mix
from infra.budget.solver import solve

__all__ = [
    "digest",
    "in_cells",
    "jobs_for",
    "jobs_per_cell",
    "machines_for",
    "mix",
    "solve",
    "tenth_of",
]
