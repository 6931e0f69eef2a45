"""What a worker refuses to start with, rather than lose calls later."""

from __future__ import annotations

import resource
import sys

from livekit.agents import JobExecutorType

from agent.runtime.errors import SettingsError
from agent.runtime.settings import WorkerSettings

# Measured: a worker has 42 open files, and 4 more for each job (8 slots: 73); a job has 57 to 87 while it opens and
# talks, more with datastores of its own. Both live under the same limit.
BASE_DESCRIPTORS = 128
DESCRIPTORS_PER_PROCESS = 5
CONSOLES = ("livekit.agents.cli.cli", "livekit.agents.cli._legacy")


def check(settings: WorkerSettings, executor: JobExecutorType) -> None:
    """Raises SettingsError: jobs would be threads, or the process may open too few files for its slots."""
    if executor is JobExecutorType.THREAD and not in_console():
        raise SettingsError(
            "job_executor_type=JobExecutorType.THREAD: accepted: PROCESS. A job's slot, its datastores and its last "
            "resort are its process's; as a thread its end would be the worker's, with every other call"
        )
    needed = BASE_DESCRIPTORS + DESCRIPTORS_PER_PROCESS * (settings.slots + settings.idle_processes)
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != resource.RLIM_INFINITY and limit < needed:
        raise SettingsError(
            f"RLIMIT_NOFILE={limit} open files (ulimit -n): accepted: at least {needed} for "
            f"AGENT_SLOTS={settings.slots} and AGENT_IDLE_PROCESSES={settings.idle_processes}; with fewer, calls are "
            "lost as slots fill"
        )


def in_console() -> bool:
    """Whether LiveKit's `console` runs this worker: one job, as a thread, for a developer's terminal."""
    modules = [sys.modules[name] for name in CONSOLES if name in sys.modules]
    return any(module.AgentsConsole.get_instance().enabled for module in modules)
