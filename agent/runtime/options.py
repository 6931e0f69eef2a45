"""Every option of LiveKit's AgentServer: handed on as it is, or refused with the sentence that says what sets it here.

The tables are compared with LiveKit's own signatures, and OPTIONS.md is written from them (tests/unit/test_options.py).
"""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from livekit.agents import JobExecutorType
from livekit.agents.worker import ServerEnvOption, ServerOptions, ServerType, WorkerPermissions

from agent.runtime.capacity import RequestHook
from agent.runtime.errors import OptionRefused


class LiveKitOptions(TypedDict, total=False):
    """Keywords of LiveKit's that a LifespanServer takes and hands on."""

    job_executor_type: JobExecutorType
    job_memory_warn_mb: float
    job_memory_limit_mb: float
    initialize_process_timeout: float
    permissions: WorkerPermissions
    ws_url: str | None
    api_key: str | None
    api_secret: str | None
    http_proxy: str | None
    multiprocessing_context: Literal["spawn", "forkserver"]
    setup_fnc: Any
    preload_modules: list[str] | None
    log_level: str | ServerEnvOption[str]


class SessionOptions(TypedDict, total=False):
    """Keywords of `rtc_session`: LiveKit's, and those of this server."""

    agent_name: str | None
    type: ServerType
    on_request: RequestHook | None
    on_session_end: Callable[..., Any] | None
    on_simulation_end: Callable[..., Any] | None
    on_time_limit: Callable[..., Any] | None
    on_caller_lost: Callable[..., Any] | None
    on_caller_back: Callable[..., Any] | None
    close_on_disconnect: bool


@dataclass(frozen=True)
class Option:
    """One keyword; handed on unless it says why not. `variable` is the environment variable that sets it here."""

    keyword: str
    note: str = ""
    refused: str = ""
    variable: str = ""
    default: str = ""
    """Where it is not LiveKit's and no variable's."""


SERVER = (
    Option(
        "job_executor_type",
        "`PROCESS` only: a job's datastores are those of its process. `console` alone sets `THREAD`, by itself",
    ),
    Option(
        "load_threshold",
        refused="AGENT_SLOTS is the cap; LiveKit's threshold lets bursts past it, and is out of the way (infinite)",
        variable="AGENT_SLOTS",
    ),
    Option("job_memory_warn_mb"),
    Option("job_memory_limit_mb", "a job that LiveKit kills for it is counted `killed`"),
    Option(
        "drain_timeout",
        refused="AGENT_DRAIN_TIMEOUT_SECONDS sets it, solved from the longest call",
        variable="AGENT_DRAIN_TIMEOUT_SECONDS",
    ),
    Option(
        "num_idle_processes",
        refused="AGENT_IDLE_PROCESSES sets it: the pod's memory is solved for that many",
        variable="AGENT_IDLE_PROCESSES",
    ),
    Option(
        "shutdown_process_timeout",
        refused="AGENT_SHUTDOWN_PROCESS_TIMEOUT_SECONDS sets it: a job's callbacks and closes fit into it",
        variable="AGENT_SHUTDOWN_PROCESS_TIMEOUT_SECONDS",
    ),
    Option(
        "session_end_timeout",
        refused="AGENT_SESSION_END_TIMEOUT_SECONDS sets it: the grace period is solved with it",
        variable="AGENT_SESSION_END_TIMEOUT_SECONDS",
    ),
    Option("initialize_process_timeout", "until one process is warm the worker is not ready", default="30"),
    Option("permissions"),
    Option(
        "max_retry", refused="a worker asks for LiveKit for as long as it lives, so that no call ends for it"
    ),
    Option("ws_url", "or `LIVEKIT_URL`"),
    Option("api_key", "or `LIVEKIT_API_KEY`"),
    Option("api_secret", "or `LIVEKIT_API_SECRET`"),
    Option("host", refused="AGENT_HOST sets it", variable="AGENT_HOST"),
    Option("port", refused="AGENT_HTTP_PORT sets it; probes ask there", variable="AGENT_HTTP_PORT"),
    Option("http_proxy", "or `HTTPS_PROXY`, `HTTP_PROXY`"),
    Option("multiprocessing_context"),
    Option("setup_fnc", "the same as `prewarm`: one of the two; also `server.setup_fnc = …`"),
    Option(
        "load_fnc",
        refused="the load told to LiveKit is the share of AGENT_SLOTS that is taken",
        variable="AGENT_SLOTS",
    ),
    Option("preload_modules", "beside those of the datastores that were imported"),
    Option(
        "prometheus_port",
        refused="AGENT_METRICS_PORT sets it; the gauges are scraped there",
        variable="AGENT_METRICS_PORT",
    ),
    Option(
        "prometheus_multiproc_dir",
        refused="PROMETHEUS_MULTIPROC_DIR sets it, before Python starts: jobs count into it",
        variable="PROMETHEUS_MULTIPROC_DIR",
    ),
    Option("log_level", "or `--log-level`"),
)
SESSION = (
    Option("func", "`@server.rtc_session` without parentheses, or `server.rtc_session(entrypoint)`"),
    Option(
        "agent_name",
        'given once: here, or as `AGENT_NAME`, or as `LIVEKIT_AGENT_NAME`. `agent_name=""` is automatic dispatch; '
        "none at all is `assistant`, and is told at start",
        variable="AGENT_NAME",
    ),
    Option("type"),
    Option("on_request", "asked below `AGENT_SLOTS` only"),
    Option("on_session_end", "`(ctx, state)` or `(ctx)`, while the datastores are open"),
    Option("on_simulation_end"),
)
# LiveKit's ServerOptions names these otherwise; the rest are keywords of AgentServer.
OF_SESSION = ("entrypoint_fnc", "request_fnc", "agent_name", "worker_type")
RENAMED = {"prewarm_fnc": "setup_fnc"}


def accepted(where: str, given: Mapping[str, Any], table: Sequence[Option] = SERVER) -> dict[str, Any]:
    """What may be handed to LiveKit of the keywords that somebody gave to `where`.

    Raises:
        OptionRefused: one of them is not obeyed here; the message names what sets it instead.
    """
    refusals = {option.keyword: option.refused for option in table if option.refused}
    for keyword, value in given.items():
        if value is not None and keyword in refusals:
            raise OptionRefused(
                f"{where}({keyword}={reprlib.repr(value)}) is not accepted: {refusals[keyword]}. Leave it out."
            )
    executor = given.get("job_executor_type", JobExecutorType.PROCESS)
    if executor != JobExecutorType.PROCESS:
        raise OptionRefused(
            f"{where}(job_executor_type={executor}) is not accepted: a job is a process of its own here, with its own "
            "slot and datastores; accepted: JobExecutorType.PROCESS. Leave it out."
        )
    return {keyword: value for keyword, value in given.items() if keyword not in refusals}


def given_in(options: ServerOptions) -> dict[str, Any]:
    """The keywords of AgentServer that these options set to something else than LiveKit's default."""
    given = {}
    for field in dataclasses.fields(options):
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        value = getattr(options, field.name)
        if field.name not in OF_SESSION and value != default:
            given[RENAMED.get(field.name, field.name)] = value
    return given
