"""Documents for the benchmark: as many models as asked for, each with an index, as agents have them."""

from __future__ import annotations

from typing import Annotated

from beanie import Document, Indexed
from pydantic import create_model

MOST = 20


def documents(count: int) -> list[type[Document]]:
    """The first so many models; each call makes them anew, as a process's import of its module does."""
    return [
        create_model(
            f"Model{number}",
            __base__=Document,
            __module__=__name__,
            key=(Annotated[str, Indexed(unique=True)], ...),
            text=(str, ""),
        )
        for number in range(count)
    ]
