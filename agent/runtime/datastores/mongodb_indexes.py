"""Indexes are made once, by one command, and only checked by workers: calls neither pay for them nor race for them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from beanie import Document
from beanie.odm.utils.pydantic import get_model_fields
from beanie.odm.utils.typing import get_index_attributes
from pymongo import IndexModel
from pymongo.errors import OperationFailure

from agent.runtime.errors import IndexesMissing

NOT_IMPLEMENTED = 238  # MongoDB error code; FerretDB 1.24 answers it to TTL indexes


def declared_indexes(model: type[Document]) -> list[IndexModel]:
    """What `model` declares by `Indexed` fields and by `Settings.indexes`, as Beanie's own start-up reads it."""
    attributes = (
        (field.alias or name, get_index_attributes(field)) for name, field in get_model_fields(model).items()
    )
    indexed = [IndexModel([(name, found[0])], **found[1]) for name, found in attributes if found is not None]
    return indexed + [declared.index for declared in model.get_settings().indexes]


async def missing_indexes(
    models: Sequence[type[Document]],
) -> AsyncIterator[tuple[type[Document], IndexModel]]:
    """The declared indexes that the database lacks. The models must be registered by an open `mongodb(models)`."""
    for model in models:
        present = await model.get_pymongo_collection().index_information()
        for index in declared_indexes(model):
            if index.document["name"] not in present:
                yield model, index


async def create_indexes(models: Sequence[type[Document]]) -> list[str]:
    """Make the missing indexes and return their names as `collection.index`. Needs a user that may create indexes."""
    made = []
    async for model, index in missing_indexes(models):
        made.append(_name(model, index) + await _create(model, index))
    return made


async def _create(model: type[Document], index: IndexModel) -> str:
    collection = model.get_pymongo_collection()
    try:
        # One at a time: FerretDB 1.24 breaks the connection when one of several exists (FACTS.md section 2).
        await collection.create_indexes([index])
    except OperationFailure as error:
        if error.code != NOT_IMPLEMENTED or "expireAfterSeconds" not in index.document:
            raise
        plain = {
            key: value for key, value in index.document.items() if key not in ("key", "expireAfterSeconds")
        }
        await collection.create_indexes([IndexModel(list(index.document["key"].items()), **plain)])
        return " (without expiry, which this server lacks: run `python -m agent expire` daily)"
    return ""


async def check_indexes(models: Sequence[type[Document]]) -> None:
    """For the worker lifespan: refuse to take calls without indexes.

    Raises:
        IndexesMissing: names each missing index and the command that makes them.
    """
    missing = [_name(model, index) async for model, index in missing_indexes(models)]
    if missing:
        raise IndexesMissing(
            f"MongoDB lacks the indexes {', '.join(missing)}; make them once with `python -m agent indexes`"
        )


def _name(model: type[Document], index: IndexModel) -> str:
    return f"{model.get_collection_name()}.{index.document['name']}"
