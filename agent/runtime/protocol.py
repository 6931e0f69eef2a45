"""What every datastore must offer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Connections:
    """Sockets a client holds now, as the server counts them.

    `monitoring` are the driver's own sockets beside the pool; they carry no operations but count against the limit.
    """

    in_use: int = 0
    idle: int = 0
    monitoring: int = 0


class Datastore(Protocol):
    """A client of one datastore. `name` labels its metrics and its row in the budget."""

    @property
    def name(self) -> str: ...

    async def open(self) -> None:
        """Connect and make sure that the server answers. Called once, in the lifespan's loop."""

    async def close(self) -> None:
        """Close every socket. Called once, also after an `open()` that failed half-way."""

    def connections(self) -> Connections:
        """What is open now; cheap, called every second."""
