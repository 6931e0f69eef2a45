"""What is raised where a part cannot be had."""

from __future__ import annotations


class BuildError(Exception):
    """A program or an image cannot be had; the message is for the person at the terminal and says what to do."""
