"""What one worker pod needs."""

from __future__ import annotations

from infra.budget.arithmetic import ceil
from infra.budget.solution import Fleet, Pod
from infra.config import FleetConfig

# prometheus_client maps 64 KiB a file at least; a process has a file for each type and mode of its metrics (8, seen),
# and room for each to grow once. The rest is for slot locks and what belongs to no slot.
METRICS_KIB_PER_PROCESS = 1024
SPARE_SHARED_KIB = 8192


def pod_of(config: FleetConfig, fleet: Fleet) -> Pod:
    """Its memory, CPU and probe."""
    sizes = config.pod
    shared_kib = METRICS_KIB_PER_PROCESS * (fleet.slots + 1) + SPARE_SHARED_KIB
    shared_mib = ceil(shared_kib, 1024)
    return Pod(
        memory_mib=sizes.base_memory_mib
        + fleet.slots * sizes.job_memory_mib
        + fleet.idle_processes * sizes.idle_process_memory_mib
        + shared_mib,
        cpu_millicores=sizes.base_cpu_millicores + fleet.slots * sizes.job_cpu_millicores,
        shared_memory_mib=shared_mib,
        # Twice the planned time: a slow node is not a dead worker.
        startup_probe_failures=2 * config.worker_start_seconds,
    )
