"""What can go wrong, each with the sentence that says what to do instead."""

from __future__ import annotations

IN_THE_LIFESPAN = (
    "Open datastores inside the job lifespan, before its `yield`: "
    "`async with mongodb() as db: yield db` (README, 'Ten lines')."
)
CLIENTS_DO_NOT_TRAVEL = (
    "A client opened in the worker lifespan belongs to the worker's main process and its event loop; it cannot "
    "travel into a job, which is a process of its own. Open one per job, in the job lifespan."
)


class AgentRuntimeError(Exception):
    """Base class of everything that agent.runtime raises by itself."""


class SettingsError(AgentRuntimeError):
    """An environment variable is missing or unusable; the message names it and what is accepted."""


class OptionRefused(AgentRuntimeError):
    """An option that LiveKit's server has and this one does not obey; the message names what sets it instead."""


class SlotUnavailable(AgentRuntimeError):
    """Every slot of this worker is owned by a living job; nothing was opened."""


class LifespanError(AgentRuntimeError):
    """A datastore was opened in the wrong place: in prewarm, in another loop, before a fork, or twice."""


class CancelledFromWithin(AgentRuntimeError):
    """The user's code ended with a CancelledError that nobody outside of it had asked for."""


class DatastoreUnavailable(AgentRuntimeError):
    """A datastore could not be opened in time; the message names the datastore, never its password."""


class IndexesMissing(AgentRuntimeError):
    """Indexes that the documents declare are not in the database; the message names them and the command."""


class Busy(AgentRuntimeError):
    """No worker took the call within the time given: every slot is taken, or no worker of that name is registered."""


class LiveKitUnreachable(AgentRuntimeError):
    """LiveKit could not be reached, or did not answer, within the time given; the message says what it said last."""
