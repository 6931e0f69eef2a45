"""How other commands find a running stack: a file in its state directory that only this user can read."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from infra.local.conversation import Line
from infra.local.errors import NoStack
from infra.local.processes import alive
from infra.local.run import STATE, Run

FILE = "stack.json"


@dataclass(frozen=True)
class Running:
    """A stack that is up."""

    name: str
    pid: int
    line: Line


def publish(run: Run, line: Line) -> Path:
    """Say where calls to this run are placed, the secret included, for as long as the run lasts."""
    content = {"name": run.name, "pid": os.getpid(), "line": asdict(line)}
    return run.private_file(FILE, json.dumps(content, indent=2) + "\n")


def find(name: str | None) -> Running:
    """The stack of that name, or the one that is up.

    Raises:
        NoStack: none is up, or not that one, or several are and no name was given.
    """
    found = _all()
    if name is not None:
        found = [running for running in found if running.name == name] or _none(
            f"no stack named {name} is up; up: {_names(found)}"
        )
    if not found:
        _none("no stack is up; start one with `make up` in another terminal")
    if len(found) > 1:
        _none(f"several stacks are up; name one with --run: {_names(found)}")
    return found[0]


def _none(message: str) -> list[Running]:
    raise NoStack(message)


def _names(found: list[Running]) -> str:
    return ", ".join(running.name for running in found) or "none"


def _all() -> list[Running]:
    found = []
    for file in sorted(STATE.glob(f"*/{FILE}")):
        try:
            content = json.loads(file.read_text())
            running = Running(content["name"], content["pid"], Line(**content["line"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # a run that is just beginning or ending
        if alive(running.pid):
            found.append(running)
    return found
