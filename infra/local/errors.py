"""What the local target says when it cannot go on: a sentence for people, never a traceback."""

from __future__ import annotations


class LocalError(Exception):
    """Base class: the command line prints the message and ends with status 2."""


class StartFailed(LocalError):
    """A process died or stayed silent while it was waited for; the message ends with its last log lines."""


class NoStack(LocalError):
    """No running stack was found to place a call on."""
