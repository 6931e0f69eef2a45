"""One fault, injected into real processes: what it is, who sees what, and how soon the truth is seen again."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import pytest

from infra.local.errors import LocalError

ContextT = TypeVar("ContextT")

# The columns of the table, in this order.
CONNECTIONS, GAUGES, SLOT, PROCESS = "connections gone", "gauges true", "slot free", "process gone"
COLUMNS = (CONNECTIONS, GAUGES, SLOT, PROCESS)
NOT_RUN = "not run"


class NotHere(Exception):
    """This machine, or this user, does not let the fault be made; the message says what is missing."""


@dataclass(frozen=True)
class Seen:
    """What a row saw. Seconds are counted from the fault."""

    outcome: str
    """What became of the job or worker, in a few words: `failed`, `exit status 3`."""
    seconds_to: Mapping[str, float] = field(default_factory=dict)
    """Column → seconds until it was so; a row of its own kind may name others, which become part of the note."""
    note: str = ""
    plain: str = ""
    """What became of a plain AgentServer's call that the same fault met."""


@dataclass(frozen=True)
class Row(Generic[ContextT]):
    """One fault of the matrix.

    Args:
        inject: does it, waits until the truth is seen again, says what was seen. An assertion that fails, or a
            deadline that passes, fails the row.
        soak: takes long to show, so `make test` leaves it out.
        needs_root: to be made; others' run says so and skips it (NotHere).
    """

    name: str
    what_the_caller_sees: str
    what_the_operator_sees: str
    inject: Callable[[ContextT], Awaitable[Seen]]
    soak: bool = False
    needs_root: bool = False


@dataclass(frozen=True)
class Result:
    """A row that was run."""

    row: str
    caller: str
    operator: str
    outcome: str
    seconds_to: Mapping[str, float]
    passed: bool
    note: str
    took_seconds: float
    plain: str = ""


# For modules of rows: on real servers, which the module's tests share.
ON_SERVERS = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    pytest.mark.asyncio(loop_scope="module"),
]


def each(*alone: Sequence[Row[Any]], **streams: Sequence[Row[Any]]) -> pytest.MarkDecorator:
    """One test a row, its argument `row`. The rows of a stream run one after another, those without a name in the
    stream of their file; other streams may run beside it, on servers of their own."""
    named = [((pytest.mark.xdist_group(stream),), rows) for stream, rows in streams.items()]
    marked = [
        pytest.param(row, id=row.name, marks=[*group, *_marks(row)])
        for group, rows in [*(((), rows) for rows in alone), *named]
        for row in rows
    ]
    return pytest.mark.parametrize("row", marked)


def _marks(row: Row[Any]) -> list[pytest.MarkDecorator]:
    marks = ((pytest.mark.soak, row.soak), (pytest.mark.needs_root, row.needs_root))
    return [mark for mark, wanted in marks if wanted]


async def run(row: Row[ContextT], on: ContextT) -> Result:
    """Run one row. A row that failed is a result as well: the table shows all of them."""
    began = time.monotonic()
    try:
        seen, passed = await row.inject(on), True
    except NotHere as missing:
        seen, passed = Seen(NOT_RUN, note=str(missing)), True
    except (AssertionError, TimeoutError, OSError, LocalError) as error:
        seen, passed = Seen("FAILED", note=f"{type(error).__name__}: {error}"), False
    return Result(
        row.name,
        row.what_the_caller_sees,
        row.what_the_operator_sees,
        seen.outcome,
        dict(seen.seconds_to),
        passed,
        seen.note,
        time.monotonic() - began,
        seen.plain,
    )


class Stopwatch:
    """Seconds since the fault, on the monotonic clock."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began
