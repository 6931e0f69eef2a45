"""What a user registers: the entrypoint and the hooks, in either of their shapes, and the agent's name."""

from __future__ import annotations

import inspect
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agent.runtime.errors import OptionRefused
from agent.runtime.job import Hook
from agent.runtime.settings import WorkerSettings


@dataclass(frozen=True)
class WithoutState:
    """A hook `async def hook(ctx)`, as LiveKit has them, where `(ctx, state)` is called."""

    hook: Callable[[Any], Any]

    async def __call__(self, ctx: Any, _: Any) -> None:
        await self.hook(ctx)


def hook(given: Callable[..., Any], what: str) -> Hook:
    """`given` as it is called here: `(ctx, state)`, where the state may be left out.

    Raises:
        OptionRefused: it is not `async def`, or takes neither one nor two arguments.
    """
    name = getattr(given, "__qualname__", repr(given))
    function = inspect.unwrap(given)
    if not any(inspect.iscoroutinefunction(each) for each in (function, getattr(function, "__call__", None))):  # noqa: B004
        raise OptionRefused(f"{what} {name}: accepted: an `async def` of (ctx, state) or (ctx)")
    signature = inspect.signature(given)
    for arguments in (2, 1):
        try:
            signature.bind(*[None] * arguments)
        except TypeError:
            continue
        return given if arguments == 2 else WithoutState(given)
    raise OptionRefused(f"{what} {name}{signature}: accepted: an `async def` of (ctx, state) or (ctx)")


def check_importable(hooks: object) -> None:
    """Job processes import the hooks by name.

    Raises:
        OptionRefused: one of them is a lambda, or defined inside of a function.
    """
    try:
        pickle.dumps(hooks)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise OptionRefused(
            f"a job process cannot import what was registered: {error}; accepted: functions of a module's top level"
        ) from None


def agent_name(settings: WorkerSettings, said: str | None) -> str | None:
    """The name that everybody gave, or None where nobody gave one.

    Args:
        said: at the registration; "" is LiveKit's automatic dispatch.

    Raises:
        OptionRefused: two names that differ.
    """
    if forced := os.environ.get("LIVEKIT_AGENT_NAME_OVERRIDE"):
        return forced
    given = {
        "AGENT_NAME": settings.agent_name if "agent_name" in settings.model_fields_set else None,
        "LIVEKIT_AGENT_NAME": os.environ.get("LIVEKIT_AGENT_NAME") or None,
        "rtc_session's agent_name": said,
    }
    names = {source: name for source, name in given.items() if name is not None}
    if len(set(names.values())) > 1:
        raise OptionRefused(
            f"the agent has two names: {', '.join(f'{source}={name!r}' for source, name in names.items())}. Calls are "
            "dispatched and gauges labelled by one (the chart's agentName is AGENT_NAME): give it once, or everywhere "
            "the same"
        )
    return next(iter(names.values()), None)
