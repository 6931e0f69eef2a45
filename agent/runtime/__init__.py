"""What an agent needs to open datastores per job, within a budget. Users import from here and from `datastores`."""

from agent.runtime.errors import (
    AgentRuntimeError,
    DatastoreUnavailable,
    IndexesMissing,
    LifespanError,
    SettingsError,
    SlotUnavailable,
)
from agent.runtime.server import LifespanServer
from agent.runtime.settings import WorkerSettings

__all__ = [
    "AgentRuntimeError",
    "DatastoreUnavailable",
    "IndexesMissing",
    "LifespanError",
    "LifespanServer",
    "SettingsError",
    "SlotUnavailable",
    "WorkerSettings",
]
