"""Callers are WebRTC clients in this one process: a dozen of them outgrow the 1024 open files of most logins."""

from __future__ import annotations

import resource

ENOUGH = 65_536


def allow_many() -> None:
    """Raise this process's soft limit as far as the user may, at most to 65 536; what it starts inherits it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
