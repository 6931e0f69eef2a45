"""Version 0.1.0 ignored the database in MONGODB_URL's path: what it stored is looked for, not left behind unseen."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from beanie import Document
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from agent.runtime.datastores.mongodb_url import DEFAULT_DATABASE, VARIABLE
from agent.runtime.errors import SettingsError

logger = logging.getLogger("agent.runtime")


async def check_nothing_is_left_behind(
    database: AsyncDatabase[dict[str, Any]], models: Sequence[type[Document]]
) -> None:
    """For workers and commands whose database is said by the URL's path alone.

    Raises:
        SettingsError: it holds no document of these models, and `agent`, which 0.1.0 took, does.
    """
    logger.info("MongoDB: database %r, as %s's path says", database.name, VARIABLE)
    names = [model.get_collection_name() for model in models]
    if await _holding(database, names):
        return
    try:
        left = await _holding(database.client[DEFAULT_DATABASE], names)
    except OperationFailure:  # not ours to read, so not what we wrote
        return
    if left:
        raise SettingsError(
            f"environment: {VARIABLE}=(hidden): its path says database {database.name!r}, which holds no documents of "
            f"this agent, but {DEFAULT_DATABASE!r} does ({', '.join(left)}): version 0.1.0 ignored the path. accepted: "
            f"/{DEFAULT_DATABASE} in the URL to go on with those, or MONGODB_DATABASE={database.name} beside it to "
            "begin anew (UPGRADING.md)"
        )


async def _holding(database: AsyncDatabase[dict[str, Any]], names: Sequence[str]) -> list[str]:
    return [name for name in names if await database[name].find_one({}, {"_id": 1}) is not None]
