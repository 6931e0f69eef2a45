"""What a dashboard is, whichever program shows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

# As Grafana calls them.
Unit = Literal["short", "s", "d", "percentunit"]

FLEET = "$fleet"


@dataclass(frozen=True)
class Query:
    """PromQL whose selectors say `$fleet` where the matcher of the fleets belongs: `agent:slots{$fleet}`."""

    expr: str
    legend: str

    def of(self, fleets: str) -> str:
        """The PromQL for fleets that match this matcher, such as `fleet="local"`."""
        return self.expr.replace(FLEET, fleets)


@dataclass(frozen=True)
class Panel:
    """One graph. `description` says what to look for; `stacked` for parts of a whole."""

    title: str
    description: str
    queries: tuple[Query, ...]
    unit: Unit = "short"
    width: int = 12
    """Of 24 columns."""
    stacked: bool = False
    limits: tuple[str, ...] = ()
    """Legends of queries that are the budget's: drawn as dashed lines."""


@dataclass(frozen=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Dashboard:
    """A page. `name` is its file's and, in Grafana, part of its address."""

    name: str
    title: str
    description: str
    rows: tuple[Row, ...]

    @property
    def panels(self) -> Iterator[Panel]:
        for row in self.rows:
            yield from row.panels
