"""What is known of a datastore before any stack is: how it is named, reached and served. No arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from infra.datastores.plan import Plan

ALWAYS = "always"


@dataclass(frozen=True)
class Sockets:
    """What a client holds to each node beside its pool."""

    number: int
    what: str
    """One of them, in words."""


@dataclass(frozen=True)
class OwnServer:
    """A server that a chart of this project runs, under the datastore's name."""

    container: str
    limit_setting: str
    """The key of its configuration that bounds connections."""


@dataclass(frozen=True)
class DatastoreKind:
    """One datastore, as the budget has a row of it."""

    name: str
    """In the budget, in series (label `datastore`) and, in capitals, before its variables."""
    title: str
    section: str
    """Where its keys stand in the stack file: `mongodb`, `datastores.weaviate`."""
    limit_key: str
    """Which of them bounds a node's connections."""
    url_variable: str | None
    """With what address workers open it; None: they do not."""
    ports: tuple[int, ...] = ()
    """Where it listens by default; none: only its user knows."""
    dialled_by: Literal["workers", "routers"] = "workers"
    part_of: str | None = None
    """The datastore whose client reaches it: no pool, no URL, no pods of its own."""
    beside_pool: Mapping[str, Sockets] = field(default_factory=lambda: MappingProxyType({}))
    """By the section's `monitoring`, or `ALWAYS`."""
    own_server: OwnServer | None = None
    plans: tuple[Plan, ...] = ()
    """Of providers, a family after the other, each from small to large."""
    not_beside_plan: tuple[str, ...] = ()
    """Keys that make no sense where a provider runs it."""

    @property
    def opened(self) -> bool:
        """Whether a job opens it by itself, with a pool that the budget gives it."""
        return self.part_of is None

    @property
    def of_its_own_section(self) -> bool:
        """Not one of the `datastores:`, which are all configured alike."""
        return not self.section.startswith(FURTHER)


FURTHER = "datastores."
"""Before the names of those that have no section of their own."""


def further(
    name: str,
    title: str = "",
    *,
    ports: tuple[int, ...] = (),
    beside_pool: Sockets | None = None,
    plans: tuple[Plan, ...] = (),
) -> DatastoreKind:
    """One of the `datastores:`. A name that nobody knows is a datastore of the user's own."""
    section = f"{FURTHER}{name}"
    return DatastoreKind(
        name=name,
        title=title or name,
        section=section,
        limit_key=f"{section}.limit",
        url_variable=f"{name.upper()}_URL",
        ports=ports,
        beside_pool=MappingProxyType({ALWAYS: beside_pool} if beside_pool else {}),
        plans=plans,
    )
