"""Writes agent/runtime/OPTIONS.md from the tables and LiveKit's own signatures: python -m tests.unit.options_page."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from livekit.agents import AgentServer
from livekit.agents.worker import ServerEnvOption

from agent.runtime import options
from agent.runtime.options import Option
from agent.runtime.settings import WorkerSettings

PAGE = Path(options.__file__).with_name("OPTIONS.md")
HEAD = """# LiveKit's options

What a `LifespanServer` does with each keyword of LiveKit's `AgentServer`: handed on, or refused with a sentence
that names what sets it here, because the budget was solved with it. `update_options`, `from_server_options(options,
lifespan=…)`, `server.setup_fnc = …` and `server.load_fnc = …` go by the same table. Written by
`python -m tests.unit.options_page`; a keyword that a newer LiveKit adds fails a test until it is decided here.

## `LifespanServer(…)`

"""
SESSION = """
## `@server.rtc_session(…)`

The entrypoint and the hooks are `async def` functions of a module's top level, of `(ctx, state)` or of `(ctx)` alone.
Ours, beside LiveKit's keywords: {ours}.

"""
# These defaults depend on the machine.
BY_MACHINE = {"num_idle_processes": "one a CPU; 0 in dev", "multiprocessing_context": "`forkserver` on Linux"}


def keywords(function: Callable[..., Any]) -> dict[str, Any]:
    """Keyword → default."""
    parameters = list(inspect.signature(function).parameters.values())[1:]
    return {p.name: p.default for p in parameters}


def page() -> str:
    ours = set(options.SessionOptions.__annotations__) - set(keywords(AgentServer.rtc_session))
    return (
        HEAD
        + table(options.SERVER, keywords(AgentServer.__init__))
        + SESSION.format(ours=", ".join(f"`{name}`" for name in sorted(ours)))
        + table(options.SESSION, keywords(AgentServer.rtc_session))
    )


def table(rows: Sequence[Option], defaults: dict[str, Any]) -> str:
    lines = ["| keyword | here | default here | LiveKit's default | |", "|---|---|---|---|---|"]
    for row in rows:
        there = BY_MACHINE.get(row.keyword) or shown(defaults[row.keyword])
        fields = {field.alias: field for field in WorkerSettings.model_fields.values()}
        field = fields.get(row.variable)
        here = (
            row.default if field is None or field.is_required() else f"{row.variable}={field.get_default()}"
        )
        ours = f"`{here}`" if here else "–" if row.refused or row.variable else "the same"
        lines.append(
            f"| `{row.keyword}` | {'refused' if row.refused else 'handed on'} | "
            f"{ours} | {there} | {row.refused or row.note} |"
        )
    return "\n".join(lines) + "\n"


def shown(default: Any) -> str:
    if isinstance(default, ServerEnvOption):
        return f"`{default.prod_default}`; `{default.dev_default}` in dev"
    if isinstance(default, Enum):
        return f"`{default.name}`"
    if default is None or str(default) == "NOT_GIVEN" or default == "":
        return "none"
    return f"`{default}`" if isinstance(default, str | int | float) else f"`{type(default).__name__}()`"


if __name__ == "__main__":
    PAGE.write_text(page())
