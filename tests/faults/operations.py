"""What `agents/asking.py` notes of every operation, and what a row reads out of it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.faults.patience import eventually
from tests.faults.wrongs import MARKS


@dataclass(frozen=True)
class Operation:
    """One operation of a job. Times are time.monotonic(), which all processes of a machine share on Linux."""

    datastore: str
    began: float
    ended: float
    error: str
    """The exception's name; empty: it succeeded."""

    @property
    def seconds(self) -> float:
        return self.ended - self.began


def note(room: str, operation: Operation) -> None:
    """Append to the room's file; a line is far below what the kernel writes at once."""
    with _file(Path(os.environ[MARKS]), room).open("a") as file:
        file.write(json.dumps(asdict(operation)) + "\n")


def noted(directory: Path, room: str, datastore: str) -> list[Operation]:
    """All of this datastore so far, in order."""
    path = _file(directory, room)
    # The last line may be half written.
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [each for line in lines if (each := Operation(**json.loads(line))).datastore == datastore]


async def until_one_succeeds(
    directory: Path, room: str, datastore: str, *, since: float, within: float
) -> Operation:
    """The first operation begun after `since` (time.monotonic()) that succeeded."""

    def good() -> list[Operation]:
        return [o for o in noted(directory, room, datastore) if o.began >= since and not o.error]

    await eventually(
        lambda: bool(good()), within=within, what=f"{room}: an operation of {datastore} that succeeds"
    )
    return good()[0]


async def until_one_fails(
    directory: Path, room: str, datastore: str, *, since: float, within: float
) -> Operation:
    """The first operation ended after `since` (time.monotonic()) that failed."""

    def bad() -> list[Operation]:
        return [o for o in noted(directory, room, datastore) if o.ended >= since and o.error]

    await eventually(
        lambda: bool(bad()), within=within, what=f"{room}: an operation of {datastore} that fails"
    )
    return bad()[0]


def failures(operations: Sequence[Operation]) -> str:
    """For the table: `3 of 40 failed (AutoReconnect)`."""
    errors = [operation.error for operation in operations if operation.error]
    names = ", ".join(sorted(set(errors)))
    return f"{len(errors)} of {len(operations)} operations failed" + (f" ({names})" if names else "")


def _file(directory: Path, room: str) -> Path:
    return directory / f"{room}.operations"
