"""Where things are: this checkout, and what has been made of it, for this user."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def cache_directory() -> Path:
    """The per-user cache of this project; the Makefile keeps uv in the same place."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agent-datastores"
