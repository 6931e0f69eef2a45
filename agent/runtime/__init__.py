"""What an agent needs to open datastores per job, within a budget. Users import from here and from `datastores`.

An API that places calls, and the commands, do without LiveKit's agents, which take seconds to import: what stands on
them is imported when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from agent.runtime.errors import (
    AgentRuntimeError,
    DatastoreUnavailable,
    IndexesMissing,
    LifespanError,
    OptionRefused,
    SettingsError,
    SlotUnavailable,
)
from agent.runtime.settings import WorkerSettings

if TYPE_CHECKING:
    from agent.runtime.server import LifespanServer
    from agent.runtime.takeover import takeover_of

__all__ = [
    "AgentRuntimeError",
    "DatastoreUnavailable",
    "IndexesMissing",
    "LifespanError",
    "LifespanServer",
    "OptionRefused",
    "SettingsError",
    "SlotUnavailable",
    "WorkerSettings",
    "takeover_of",
]

_OF_THE_WORKER = {"LifespanServer": "agent.runtime.server", "takeover_of": "agent.runtime.takeover"}


def __getattr__(name: str) -> object:
    if name not in _OF_THE_WORKER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_OF_THE_WORKER[name]), name)
