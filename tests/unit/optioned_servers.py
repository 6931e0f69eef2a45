"""Asserts about real LifespanServers, for a process of its own (test_options.py runs it)."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from livekit.agents import JobContext, JobExecutorType, WorkerOptions
from livekit.agents.worker import ServerType

from agent.runtime import LifespanServer, options
from agent.runtime.settings import worker_settings


@asynccontextmanager
async def lifespan(_: JobContext) -> AsyncIterator[None]:
    yield


async def entrypoint(ctx: JobContext) -> None: ...
def prewarm(_: Any) -> None: ...
def server(**keywords: Any) -> LifespanServer:
    return LifespanServer(lifespan=lifespan, **keywords)


settings = worker_settings().model_copy(
    update={
        "shutdown_process_timeout_seconds": 33,
        "session_end_timeout_seconds": 44,
        "drain_timeout_seconds": 55,
        "idle_processes": 3,
        "http_port": 66,
        "metrics_port": 77,
    }
)


def refuses(sentence: str, work: Callable[[], object]) -> None:
    with pytest.raises(SystemExit, match=re.escape(sentence)):
        work()


def set_load(value: Any) -> None:
    server().load_fnc = value


refuses("AGENT_DRAIN_TIMEOUT_SECONDS sets it", lambda: server(drain_timeout=60))
refuses("AGENT_SLOTS is the cap", lambda: server().update_options(load_threshold=0.5))  # type: ignore[call-arg]
refuses("AGENT_SLOTS that is taken", lambda: set_load(lambda: 0.1))
refuses("AGENT_SLOTS that is taken", lambda: set_load(None))
refuses("the same thing twice", lambda: server(prewarm=prewarm, setup_fnc=prewarm))
refuses("accepted: an `async def`", lambda: server().rtc_session(prewarm))
refuses(
    "AGENT_IDLE_PROCESSES sets it",
    lambda: LifespanServer.from_server_options(
        WorkerOptions(entrypoint_fnc=entrypoint, num_idle_processes=9), lifespan=lifespan
    ),
)

refuses("accepted: JobExecutorType.PROCESS", lambda: server(job_executor_type=JobExecutorType.THREAD))

# What the budget sets reaches LiveKit, whose own are 10 s, 16 attempts and a threshold that is no cap.
given = server(settings=settings)
assert given._shutdown_process_timeout == 33
assert given._session_end_timeout == 44
assert given._drain_timeout == 55
assert (given._num_idle_processes, given._port, given._prometheus_port) == (3, 66, 77)
assert (given._load_threshold, given._max_retry) == (math.inf, sys.maxsize)

handed = server(
    initialize_process_timeout=30, job_memory_warn_mb=5, ws_url="ws://there", preload_modules=["json"]
)
assert (handed._initialize_process_timeout, handed._job_memory_warn_mb) == (30, 5)
assert handed._ws_url == "ws://there"
assert [handed._preload_modules[0], handed._preload_modules[-1]] == ["agent.runtime", "json"]
handed.update_options(api_key="key", job_memory_limit_mb=9)
assert (handed._api_key, handed._job_memory_limit_mb) == ("key", 9)
handed.setup_fnc = prewarm
assert handed.setup_fnc is prewarm
assert handed.rtc_session(entrypoint, agent_name="named", type=ServerType.PUBLISHER) is entrypoint
entrypoint_of: Any = handed._entrypoint_fnc
assert handed._agent_name == handed.settings.agent_name == entrypoint_of.settings.agent_name == "named"
assert handed._setup_fnc.service == "named"  # type: ignore[union-attr]
assert handed._setup_fnc.users is prewarm  # type: ignore[union-attr]
assert handed._server_type is ServerType.PUBLISHER

automatic = server()
automatic.rtc_session(agent_name="")(entrypoint)
assert automatic._agent_name == automatic.settings.agent_name == ""
unnamed = server()
assert unnamed._initialize_process_timeout == float(
    next(option.default for option in options.SERVER if option.keyword == "initialize_process_timeout")
)
unnamed.rtc_session(entrypoint)
assert (unnamed._agent_name, unnamed._named) == ("assistant", False)

told = LifespanServer.from_server_options(
    WorkerOptions(entrypoint_fnc=entrypoint, agent_name="o", prewarm_fnc=prewarm, api_key="k"),
    lifespan=lifespan,
)
assert (told._agent_name, told.setup_fnc, told._api_key) == ("o", prewarm, "k")
