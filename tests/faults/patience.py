"""Deadlines for a machine that others use as well.

Written for two runnable processes a core; where more wait for the cores, everything takes longer in proportion, and so
does what is waited for. The table says how busy the machine was.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

from infra.local import eventually as waiting

RUNNABLE_PER_CORE = 2.0


def busy() -> float:
    """Processes that wait for a core or have one, per core: the mean of the last minute."""
    return os.getloadavg()[0] / (os.cpu_count() or 1)


async def eventually(
    condition: Callable[[], bool | Awaitable[bool]], *, within: float, what: str, every: float = 0.05
) -> None:
    """As `infra.local.eventually.eventually`; `within` is stretched on a busy machine."""
    stretched = within * max(1.0, busy() / RUNNABLE_PER_CORE)
    await waiting.eventually(condition, within=stretched, what=what, every=every)
