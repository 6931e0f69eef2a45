"""What MongoDB would not take is kept in files and stored later, so that an outage at hang-up loses no transcript.

A file holds one document as MongoDB Extended JSON, named by its collection and `_id`. Storing it is idempotent: the
`_id` was given before the first attempt, so a document that did arrive after all is recognised, and two workers may
share a directory. The directory should outlive the pod (a volume); whoever mounts it next stores what is in it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from beanie import Document, PydanticObjectId
from beanie.odm.utils.dump import get_dict
from bson import json_util
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError, PyMongoError, WriteError

from agent.runtime import metrics

logger = logging.getLogger("agent.runtime")

# Longer than a failed server selection (5 s) and a lost reply (10 s); within on_session_end's time.
STORE_SECONDS = 12.0
# Between two looks at the directory; jittered, so that a fleet does not fall upon a restarted database all at once.
RESTORE_SECONDS = 15.0
WAITING, REFUSED = ".json", ".refused"


async def store(document: Document, directory: Path) -> bool:
    """Insert `document`, or keep it in `directory` when MongoDB does not take it within `STORE_SECONDS`.

    Returns:
        True when it is in MongoDB, False when it waits in a file.

    Raises:
        OSError: neither took it.
    """
    document.id = document.id or PydanticObjectId()
    try:
        async with asyncio.timeout(STORE_SECONDS):
            await document.insert()
    except (PyMongoError, TimeoutError) as error:
        file = _write(directory, document.get_collection_name(), get_dict(document, to_db=True))
        logger.error("MongoDB did not take a document, which waits in %s: %s", file, type(error).__name__)
        return False
    return True


async def restore(database: AsyncDatabase[dict[str, Any]], directory: Path) -> int:
    """Store what waits, oldest first, and return how many files were stored.

    A document that the server refuses for what it is, is set aside (`.refused`) and does not hold up the others.

    Raises:
        PyMongoError: the server takes none now; what was not stored stays.
    """
    stored = 0
    for file in waiting(directory):
        try:
            document = json_util.loads(file.read_text())
            await _insert_once(database, file.name.partition(".")[0], document)
        except FileNotFoundError:
            continue  # another worker was quicker
        except (WriteError, ValueError, TypeError) as error:
            logger.error("%s cannot be stored and is set aside: %s", file, error)
            file.rename(file.with_suffix(REFUSED))
            continue
        file.unlink(missing_ok=True)
        stored += 1
    return stored


@asynccontextmanager
async def restoring(database: AsyncDatabase[dict[str, Any]], directory: Path) -> AsyncIterator[None]:
    """For the worker lifespan: while it is open, what waits is stored as soon as MongoDB takes it again."""
    task = asyncio.create_task(_restore_always(database, directory), name="spool")
    try:
        yield
    finally:
        task.cancel()


def waiting(directory: Path) -> list[Path]:
    """The files that wait, oldest first."""
    return sorted(directory.glob(f"*{WAITING}"), key=lambda file: file.stat().st_mtime)


async def _insert_once(
    database: AsyncDatabase[dict[str, Any]], collection: str, document: dict[str, Any]
) -> None:
    try:
        await database[collection].insert_one(document)
    except DuplicateKeyError:
        # It had arrived, or another worker was quicker; a clash of another unique key is a refusal.
        if await database[collection].find_one({"_id": document["_id"]}) is None:
            raise


async def _restore_always(database: AsyncDatabase[dict[str, Any]], directory: Path) -> None:
    while True:
        try:
            if stored := await restore(database, directory):
                logger.info("documents stored that had waited: %d", stored)
        except (PyMongoError, OSError) as error:
            logger.warning("documents wait for MongoDB in %s: %s", directory, type(error).__name__)
        metrics.SPOOLED.labels("mongodb").set(len(waiting(directory)))
        await asyncio.sleep(random.uniform(0.5, 1.0) * RESTORE_SECONDS)  # noqa: S311  # jitter, not a secret


def _write(directory: Path, collection: str, document: dict[str, Any]) -> Path:
    """On disk when this returns, whole or not at all."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / f"{collection}.{document['_id']}{WAITING}"
    partial = file.with_suffix(".part")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as out:
            out.write(json_util.dumps(document, json_options=json_util.CANONICAL_JSON_OPTIONS))
            out.flush()
            os.fsync(out.fileno())
        return partial.rename(file)
    except OSError:
        partial.unlink()  # half of it would take room on a disk that has none
        raise
