"""The promise, the times that follow a call, how workers are replaced, scaled and sized."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from infra.config.platforms import PLATFORMS
from infra.config.section import Section, refuse

MOST_JOBS = 1_000_000
"""The largest promise of one stack."""


def _known_platform(name: str) -> str:
    if name not in PLATFORMS:
        raise refuse(f"one of {', '.join(PLATFORMS)}, or no such key")
    return name


class FastRolling(Section):
    """All old pods may drain at once; the budget pays for them. Quick, costs connections."""

    mode: Literal["fast"] = Field(description="Pay in connections.")
    surge: int = Field(
        default=1, ge=1, le=1000, description="Pods started ahead of the old ones' end (maxSurge)."
    )
    rollouts_per_grace_period: int = Field(
        default=1,
        ge=1,
        le=100,
        description="Rollouts begun within the time that one takes (rollout_seconds, the grace period included); "
        "each leaves a whole fleet draining.",
    )


class StrictRolling(Section):
    """The pod quota lets a new pod start only when a drained one has gone. Slow, costs few connections."""

    mode: Literal["strict"] = Field(description="Pay in time.")
    surge: int = Field(default=1, ge=1, le=1000, description="Pods replaced at a time (maxSurge).")
    failure_spare: int = Field(
        default=1,
        ge=0,
        le=1000,
        description="Pods beside those, for evictions and scale-downs during a rollout.",
    )


Rolling = Annotated[FastRolling | StrictRolling, Field(discriminator="mode")]


class ScalingConfig(Section):
    """How the number of workers follows the number of calls, between min_replicas and what the promise needs."""

    min_replicas: int = Field(
        default=2,
        ge=1,
        le=100_000,
        description="Workers at the quietest time; at most what the promise needs.",
    )
    buffer_jobs: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Free slots to keep ahead of the calls. Default: those of one worker, and more than a tenth of "
        "all, since an autoscaler lets a tenth pass.",
    )


class PodConfig(Section):
    """What the processes of a worker need.

    Seen with the text agent of this project (livekit-agents 1.8.9, x86-64, MiB): the main process 138, the fork server
    374, shared with what it forks; of its own a warm process has 36, a job 46. A voice pipeline that loads models in
    its jobs needs more: measure yours.
    """

    base_memory_mib: int = Field(
        default=560, ge=64, le=1_048_576, description="The main process and the one it forks jobs from."
    )
    job_memory_mib: int = Field(default=128, ge=16, le=1_048_576, description="The process of a running job.")
    idle_process_memory_mib: int = Field(
        default=64, ge=16, le=1_048_576, description="A warm process that waits for a job."
    )
    base_cpu_millicores: int = Field(default=100, ge=10, le=1_000_000, description="The main process.")
    job_cpu_millicores: int = Field(
        default=160,
        ge=1,
        le=1_000_000,
        description="A running job. LiveKit plans 4 cores for up to 25 voice jobs (docs, self-hosted agents).",
    )


class FleetConfig(Section):
    """The promise to callers, and the times that follow a call."""

    jobs: int = Field(ge=1, le=MOST_JOBS, description="The promise: calls at once, of all cells together.")
    cells: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="Fleets that share the promise, each with datastores of its own. The budget is that of one cell.",
    )
    slots: int = Field(ge=1, le=1000, description="Jobs that one worker runs at once, at most.")
    idle_processes: int = Field(
        default=4,
        ge=0,
        le=1000,
        description="Warm processes beside the running ones. They hold no connections, only memory.",
    )
    max_call_seconds: int = Field(ge=1, le=43_200, description="After this the agent ends the call politely.")
    goodbye_seconds: int = Field(
        default=30, ge=1, le=3600, description="What the agent may use to end politely."
    )
    rejoin_seconds: int = Field(
        default=20,
        ge=0,
        le=3600,
        description="How long a caller who vanished keeps the slot (LiveKit's departure_timeout: 20).",
    )
    session_end_timeout_seconds: int = Field(
        default=60,
        ge=1,
        le=3600,
        description="on_session_end, where the transcript is saved (LiveKit's own default: 300).",
    )
    open_timeout_seconds: int = Field(
        default=10, ge=1, le=300, description="Opening all datastores of a job."
    )
    close_timeout_seconds: int = Field(
        default=8,
        ge=1,
        le=9,
        description="Closing them together, after the shutdown callbacks and before the process's end.",
    )
    pre_stop_seconds: int = Field(
        default=5, ge=0, le=600, description="preStop hook: time for endpoints to forget the pod."
    )
    worker_start_seconds: int = Field(
        default=60, ge=1, le=3600, description="From the pulled image to a registered worker."
    )
    rolling: Rolling = Field(
        default=FastRolling(mode="fast"),
        description="How pods are replaced: {mode: fast, ...} or {mode: strict, ...}.",
    )
    platform: Annotated[str, AfterValidator(_known_platform)] | None = Field(
        default=None, description="Where it runs; only warns of platforms that cut a grace period short."
    )
    scaling: ScalingConfig = Field(
        default_factory=ScalingConfig, description="How the number of workers follows the calls."
    )
    pod: PodConfig = Field(default_factory=PodConfig, description="Memory and CPU of a worker's processes.")
