"""A provider's plan: what it accepts of connections is fixed by what one pays.

Every number carries the vendor's page it was read on and the day it was checked. A plan that is not listed is given as
a plain `limit:` instead.
"""

from __future__ import annotations

from dataclasses import dataclass

# Stored copies of the pages were read on this day; the copies themselves may be some weeks older.
CHECKED = "2026-11-23"


@dataclass(frozen=True)
class Family:
    """Plans of one provider that one can move between without moving the data by hand."""

    title: str
    datastore: str
    """That takes them, by its name."""
    reserved: int
    """Connections on each node that the provider keeps for itself, out of the limit."""
    reserved_reason: str
    source: str
    checked: str = CHECKED


@dataclass(frozen=True)
class Plan:
    """One plan. `limit` is the number of client connections that one node accepts."""

    name: str
    family: Family
    limit: int
    note: str = ""
