"""What is raised for whoever is at the terminal."""

from __future__ import annotations


class KindError(Exception):
    """The cluster cannot be made or used; the message is for the person at the terminal and says what to do."""
