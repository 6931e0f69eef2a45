"""What datastores load before a job process's call comes: TLS contexts, modules that drivers import on first use."""

from __future__ import annotations

from collections.abc import Callable

warm_ups: list[Callable[[], object]] = []
"""Called in every job process by `prewarm.JobPrewarm`. Apart from it, so that an API needs no LiveKit agents."""


def before_a_call(warm_up: Callable[[], object]) -> Callable[[], object]:
    """Have `warm_up` called in every job process before its call. For datastores, when they are imported."""
    warm_ups.append(warm_up)
    return warm_up
