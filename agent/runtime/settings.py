"""Environment → typed settings. Numbers come solved from `infra/budget/`; nothing is computed here.

Every error names the variable, what it held (never for a secret) and what is accepted.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from agent.runtime import spool_files
from agent.runtime.errors import SettingsError


def secret_url(*schemes: str) -> BeforeValidator:
    """For `Annotated[SecretStr, secret_url("postgresql")]`: refuses another scheme without showing the URL."""

    def check(value: Any) -> Any:
        text = str(value).strip()  # a Secret made of a file ends with a line end
        if not text.startswith(tuple(f"{scheme}://" for scheme in schemes)):
            raise ValueError(f"accepted: a URL that begins with {' or '.join(f'{s}://' for s in schemes)}")
        return text

    return BeforeValidator(check)


Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
PoolSize = Annotated[int, Field(ge=1, le=10_000)]


class Environment(BaseModel):
    """The base of settings, a datastore's of your own too.

    Fields are named by their environment variable (alias); an empty variable counts as unset.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the process environment, or `environ`.

        Raises:
            SettingsError: one line per unusable variable.
        """
        source = os.environ if environ is None else environ
        given = {name: value for name, value in source.items() if value != ""}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise SettingsError(_explain(cls, error, given)) from None


def _explain(cls: type[BaseModel], error: ValidationError, given: Mapping[str, str]) -> str:
    secret = {f.alias for f in cls.model_fields.values() if "SecretStr" in str(f.annotation)}
    lines = []
    for problem in error.errors():
        name = str(problem["loc"][0])
        if problem["type"] == "missing":
            lines.append(f"{name} is not set")
            continue
        held = "(hidden)" if name in secret else repr(given.get(name))
        lines.append(f"{name}={held}: {problem['msg'].removeprefix('Value error, ')}")
    return "environment: " + "; ".join(lines)


class WorkerSettings(Environment):
    """One worker and its jobs. Times are in seconds, sizes in jobs, processes or connections."""

    agent_name: str = Field("assistant", alias="AGENT_NAME", pattern=r"^\S+$")
    slots: int = Field(4, alias="AGENT_SLOTS", ge=1, le=1_000, description="jobs at once, the hard cap")
    idle_processes: int = Field(1, alias="AGENT_IDLE_PROCESSES", ge=0, le=1_000)
    max_call_seconds: Seconds = Field(3600, alias="AGENT_MAX_CALL_SECONDS")
    goodbye_seconds: Seconds = Field(30, alias="AGENT_GOODBYE_SECONDS")
    join_timeout_seconds: Seconds = Field(60, alias="AGENT_JOIN_TIMEOUT_SECONDS")
    # LiveKit's own departure_timeout: as long as a plain AgentServer keeps the call. Longer does nothing unless the
    # room's is longer, too; shorter gives slots of vanished callers back sooner.
    rejoin_seconds: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = Field(
        20,
        alias="AGENT_REJOIN_SECONDS",
        description="how long a caller who vanished, rather than hung up, is waited for",
    )
    drain_timeout_seconds: int = Field(3630, alias="AGENT_DRAIN_TIMEOUT_SECONDS", ge=1, le=86_400)
    session_end_timeout_seconds: Seconds = Field(60, alias="AGENT_SESSION_END_TIMEOUT_SECONDS")
    open_timeout_seconds: Seconds = Field(10, alias="AGENT_OPEN_TIMEOUT_SECONDS")
    close_timeout_seconds: Annotated[Seconds, Field(lt=10)] = Field(8, alias="AGENT_CLOSE_TIMEOUT_SECONDS")
    shutdown_callbacks_seconds: Seconds = Field(
        10, alias="AGENT_SHUTDOWN_CALLBACKS_SECONDS", description="your own callbacks, before the close"
    )
    shutdown_process_timeout_seconds: Seconds = Field(
        20,
        alias="AGENT_SHUTDOWN_PROCESS_TIMEOUT_SECONDS",
        description="both together and the exit; then LiveKit kills a job of a worker that ends",
    )
    job_end_seconds: Seconds = Field(
        155, alias="AGENT_JOB_END_SECONDS", description="from the call's end to the process's, at most"
    )
    host: str = Field(
        "", alias="AGENT_HOST", description="address of the health and metrics ports; '' is all"
    )
    http_port: Port = Field(8081, alias="AGENT_HTTP_PORT")
    metrics_port: Port = Field(9464, alias="AGENT_METRICS_PORT")
    slot_directory: Path = Field(alias="AGENT_SLOT_DIRECTORY")
    spool_directory: Path = Field(
        alias="AGENT_SPOOL_DIRECTORY",
        description="documents that MongoDB did not take; should outlive the pod",
    )
    metrics_directory: Path = Field(alias="PROMETHEUS_MULTIPROC_DIR")
    transcript_retention_days: int = Field(30, alias="TRANSCRIPT_RETENTION_DAYS", ge=1, le=3_650)


class MongoDBSettings(Environment):
    """How one client reaches MongoDB, and its share of the server's connections."""

    url: Annotated[SecretStr, secret_url("mongodb", "mongodb+srv")] = Field(alias="MONGODB_URL")
    database: str | None = Field(
        None,
        alias="MONGODB_DATABASE",
        min_length=1,
        description="default: the one in MONGODB_URL's path, or agent",
    )
    pool: PoolSize = Field(2, alias="MONGODB_POOL", description="maxPoolSize of a job")
    worker_pool: int = Field(1, alias="MONGODB_WORKER_POOL", ge=0, le=1_000)
    monitoring: Literal["poll", "stream"] = Field("poll", alias="MONGODB_MONITORING")
    wait_seconds: Seconds = Field(5, alias="MONGODB_WAIT_SECONDS", description="longest wait for the pool")
    open_seconds: Seconds = Field(
        10, alias="AGENT_OPEN_TIMEOUT_SECONDS", description="bounds the URL's timeouts"
    )


class RedisSettings(Environment):
    """How one client reaches Redis, and its share of the server's connections."""

    url: Annotated[
        SecretStr,
        secret_url(
            "redis", "rediss", *(f"{s}+{k}" for s in ("redis", "rediss") for k in ("sentinel", "cluster"))
        ),
    ] = Field(alias="REDIS_URL")
    pool: PoolSize = Field(2, alias="REDIS_POOL", description="all of a job's: commands, pub/sub, blocking")
    worker_pool: int = Field(1, alias="REDIS_WORKER_POOL", ge=0, le=1_000)
    wait_seconds: Seconds = Field(5, alias="REDIS_WAIT_SECONDS", description="longest wait for the pool")
    reply_seconds: Seconds = Field(
        5,
        alias="REDIS_REPLY_SECONDS",
        description="longest wait for a reply; above any blocking command's own timeout",
    )
    nodes: int = Field(1, alias="REDIS_NODES", ge=1, description="of a Cluster, that the budget counts")
    sentinels: int = Field(0, alias="REDIS_SENTINELS", ge=0, description="how many the budget counts")
    budgeted: int | None = Field(
        None, alias="REDIS_CONNECTIONS_PER_WORKER", description="given where a budget was solved"
    )
    open_seconds: Seconds = Field(
        10, alias="AGENT_OPEN_TIMEOUT_SECONDS", description="bounds the URL's timeouts"
    )


class SpoolSettings(Environment):
    """Where documents wait that MongoDB did not take: for commands; a worker's settings hold it as well."""

    directory: Path = Field(alias="AGENT_SPOOL_DIRECTORY")


BUDGET_SUFFIX = "_CONNECTIONS_PER_WORKER"


def connection_budgets() -> dict[str, int]:
    """What the budget grants to one worker with all its slots taken: `{"mongodb": 26}`, in connections.

    From every `<DATASTORE>_CONNECTIONS_PER_WORKER` in the environment: a datastore of your own needs no code here.

    Raises:
        SettingsError: a value is not a whole number.
    """
    budgets = {}
    for name, value in os.environ.items():
        datastore, suffix, rest = name.partition(BUDGET_SUFFIX)
        if datastore and suffix and not rest and value != "":
            if not re.fullmatch("[0-9]{1,9}", value):
                raise SettingsError(f"environment: {name}={value!r}: accepted: a whole number of connections")
            budgets[datastore.lower()] = int(value)
    return budgets


def worker_settings() -> WorkerSettings:
    """The worker's settings, with directories made where the environment names none.

    Directories of our own making are put into `os.environ`, so that job processes, which import this anew,
    find the same ones.

    Raises:
        SettingsError: see `Environment.from_environment`; or the directory cannot be made, or both
            directories are one (LiveKit empties the metrics directory at every start).
    """
    if not os.environ.get("AGENT_SLOT_DIRECTORY"):
        os.environ["AGENT_SLOT_DIRECTORY"] = tempfile.mkdtemp(prefix="agent-slots-")
    for name, inside in (("PROMETHEUS_MULTIPROC_DIR", "metrics"), ("AGENT_SPOOL_DIRECTORY", "spool")):
        if not os.environ.get(name):
            os.environ[name] = str(Path(os.environ["AGENT_SLOT_DIRECTORY"]) / inside)
    settings = WorkerSettings.from_environment()
    closing = settings.shutdown_callbacks_seconds + settings.close_timeout_seconds
    if closing >= settings.shutdown_process_timeout_seconds:
        raise SettingsError(
            f"environment: AGENT_SHUTDOWN_PROCESS_TIMEOUT_SECONDS={settings.shutdown_process_timeout_seconds:g}: "
            "accepted: more than AGENT_SHUTDOWN_CALLBACKS_SECONDS and AGENT_CLOSE_TIMEOUT_SECONDS together, which is "
            f"{closing:g}; else LiveKit kills a job while it closes"
        )
    if settings.slot_directory.resolve() == settings.metrics_directory.resolve():
        raise SettingsError(
            f"environment: AGENT_SLOT_DIRECTORY and PROMETHEUS_MULTIPROC_DIR are both {settings.slot_directory}; "
            "accepted: two directories, since LiveKit empties the second at every start"
        )
    for name, directory in (
        ("AGENT_SLOT_DIRECTORY", settings.slot_directory),
        ("PROMETHEUS_MULTIPROC_DIR", settings.metrics_directory),
        ("AGENT_SPOOL_DIRECTORY", settings.spool_directory),
    ):
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"environment: {name}={str(directory)!r}: {error.strerror}") from None
    spool_files.check(settings.spool_directory, settings.metrics_directory)
    return settings
