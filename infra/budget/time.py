"""How long things may take: a job, its drain, a pod, a rollout, and whoever waits for them."""

from __future__ import annotations

from infra.budget.arithmetic import ceil
from infra.budget.solution import Fleet, Time
from infra.config import FleetConfig

# livekit-agents 1.8.9, before anything of ours runs: a job is assigned within 7.5 s and its process initialised
# within 10 s (initialize_process_timeout).
JOB_START_SECONDS = 18
# livekit-agents 1.8.9, after a job's end began (ipc/job_proc_lazy_main.py, _shutdown_job): 15 s for the
# entrypoint, 60 s for AgentSession.aclose, then session_end_timeout, then shutdown_process_timeout for the user's
# shutdown callbacks (as long as LiveKit's own default gives them), the close after them, and the exit.
ENTRYPOINT_EXIT_SECONDS = 15
SESSION_CLOSE_SECONDS = 60
SHUTDOWN_CALLBACKS_SECONDS = 10
PROCESS_EXIT_SECONDS = 2
# The worker lifespan's close (at most 9 s), the main process's exit, and the kubelet's own delay.
GRACE_MARGIN_SECONDS = 30
# Pulling the image, once a node. A deadline that is too short reports ProgressDeadlineExceeded for a rollout
# that completes by itself afterwards (seen on Kubernetes 1.34), and Pulumi fails on it.
PROGRESS_MARGIN_SECONDS = 300
# A ReplicaSet that was refused by the quota retries at intervals that double, up to 1000 s (client-go's default).
QUOTA_RETRY_SECONDS = 1000
# Pulumi has to outlast the deadline to report what Kubernetes says of it.
PULUMI_MARGIN_SECONDS = 300


def time_of(config: FleetConfig, fleet: Fleet) -> Time:
    """Every deadline, from the call's to Pulumi's."""
    shutdown = SHUTDOWN_CALLBACKS_SECONDS + config.close_timeout_seconds + PROCESS_EXIT_SECONDS
    job_end = ENTRYPOINT_EXIT_SECONDS + SESSION_CLOSE_SECONDS + config.session_end_timeout_seconds + shutdown
    # A job accepted just before SIGTERM lives this long, its own end included: a drain that is cut off
    # earlier would end calls that are within their time.
    drain = (
        JOB_START_SECONDS
        + config.open_timeout_seconds
        + config.max_call_seconds
        + config.goodbye_seconds
        + job_end
    )
    # At the drain's timeout LiveKit asks the jobs that are left to end, and waits for each step of that once
    # more (ipc/supervised_proc.py, aclose); without the second job_end a job that overran would lose its
    # transcript.
    grace = config.pre_stop_seconds + drain + job_end + GRACE_MARGIN_SECONDS
    waves = ceil(fleet.max_replicas, fleet.surge)
    if fleet.mode == "fast":
        # Waves follow each other as soon as the new pods are ready; at the end the last old ones still drain.
        until_all_new = waves * config.worker_start_seconds
        rollout = until_all_new + grace
        deadline = until_all_new + PROGRESS_MARGIN_SECONDS
    else:
        # A wave starts when the quota lets it, that is, when the one before has drained and gone.
        rollout = waves * (config.worker_start_seconds + grace)
        deadline = rollout + waves * min(grace, QUOTA_RETRY_SECONDS) + PROGRESS_MARGIN_SECONDS
    return Time(
        open_timeout_seconds=config.open_timeout_seconds,
        open_slow_seconds=ceil(config.open_timeout_seconds, 2),
        max_call_seconds=config.max_call_seconds,
        goodbye_seconds=config.goodbye_seconds,
        rejoin_seconds=config.rejoin_seconds,
        session_end_timeout_seconds=config.session_end_timeout_seconds,
        close_timeout_seconds=config.close_timeout_seconds,
        shutdown_callbacks_seconds=SHUTDOWN_CALLBACKS_SECONDS,
        shutdown_process_timeout_seconds=shutdown,
        job_start_seconds=JOB_START_SECONDS,
        job_end_seconds=job_end,
        pre_stop_seconds=config.pre_stop_seconds,
        drain_timeout_seconds=drain,
        termination_grace_period_seconds=grace,
        worker_start_seconds=config.worker_start_seconds,
        rollout_seconds=rollout,
        progress_deadline_seconds=deadline,
        # Pulumi waits as long for a rollout as for the end of a fleet that is deleted, calls and all.
        pulumi_timeout_seconds=max(deadline, grace) + PULUMI_MARGIN_SECONDS,
    )
