"""What MongoDB would not take is kept in files and stored later, so that an outage at hang-up loses no transcript.

A file holds one document as MongoDB Extended JSON (`spool_files.py` says how it is named). Storing it is idempotent:
the `_id` was given before the first attempt, so a document that did arrive after all is recognised, and any number of
workers may share a directory. The directory should outlive the pod (a volume); who mounts it next stores what is in it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beanie import Document, PydanticObjectId
from beanie.odm.utils.dump import get_dict
from bson import json_util
from bson.errors import BSONError
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import (
    ConnectionFailure,
    DuplicateKeyError,
    InvalidName,
    InvalidOperation,
    OperationFailure,
    PyMongoError,
    WriteError,
)

from agent.runtime import metrics, spool_files
from agent.runtime.spool_files import waiting

logger = logging.getLogger("agent.runtime")

# Longer than a failed server selection (5 s) and a lost reply (10 s); within on_session_end's time.
STORE_SECONDS = 12.0
# Between two looks at the directory; jittered, so that a fleet does not fall upon a restarted database all at once.
RESTORE_SECONDS = 15.0
# FerretDB 1.24 answers a Decimal128 by ending the connection, as a server does that goes away: it is asked in between.
ATTEMPTS = 3
# What can be wrong with a document whatever the server: no BSON, too large, too deep, a collection that cannot be.
UNFIT = (BSONError, InvalidName, ValueError, TypeError, OverflowError, RecursionError)
# MongoDB's error codes for a document that this server will never take: BadValue, FailedToParse, TypeMismatch,
# InvalidBSON, InvalidNamespace, NotImplemented, BSONObjectTooLarge. Others (no right to write,
# a full disk) may end, and the file waits.
UNFIT_CODES = {2, 9, 14, 22, 73, 238, 10334}


@dataclass
class Restored:
    """What became of the files, in files."""

    stored: int = 0
    set_aside: int = 0
    """For their own fault: renamed to `.refused`."""
    left: int = 0
    """Not taken this time; they wait."""


async def store(document: Document, directory: Path) -> bool:
    """Insert `document`, or keep it in `directory` when MongoDB does not take it within `STORE_SECONDS`.

    Returns:
        True when it is in MongoDB, False when it is in a file: waiting, or set aside (`.refused`) where no server takes
        it (too large, say).

    Raises:
        OSError: neither took it.
    """
    document.id = document.id or PydanticObjectId()
    try:
        async with asyncio.timeout(STORE_SECONDS):
            await document.insert()
    except (PyMongoError, TimeoutError, *UNFIT) as error:
        collection = document.get_pymongo_collection()
        place = spool_files.Place(directory, collection.database.name)
        file = place.write(
            collection.name,
            str(document.id),
            json_util.dumps(get_dict(document, to_db=True), json_options=json_util.CANONICAL_JSON_OPTIONS),
            unfit=not isinstance(error, PyMongoError | TimeoutError),
        )
        logger.error("MongoDB did not take a document, which is in %s: %s", file, type(error).__name__)
        return False
    return True


async def restore(database: AsyncDatabase[dict[str, Any]], directory: Path) -> Restored:
    """Store what waits for `database`, oldest first, each file by itself: one that fails holds up no other.

    Raises:
        ConnectionFailure: the server takes none now; what was not stored stays.
        PyMongoError: it took none for another reason, that of the last one.
    """
    result, error = Restored(), None
    for file in waiting(directory, database.name):
        try:
            result.stored += await _store_file(database, file)
        except (ConnectionFailure, InvalidOperation):  # of the server or the client, not of a document
            raise
        except _EndsConnections as failure:
            result.set_aside += spool_files.set_aside(file, failure)
        except PyMongoError as failure:
            if _is_unfit(failure):
                result.set_aside += spool_files.set_aside(file, failure)
            else:
                logger.warning("%s waits on: %s", file, type(failure).__name__)
                error, result.left = failure, result.left + 1
        except UNFIT as failure:
            result.set_aside += spool_files.set_aside(file, failure)
        except OSError as failure:
            if spool_files.is_readable_one_day(file, failure):
                logger.warning("%s waits on: %s", file, failure.strerror)
                result.left += 1
            elif not isinstance(failure, FileNotFoundError) or file.is_symlink():
                result.set_aside += spool_files.set_aside(file, failure)
    if error is not None and not result.stored:
        raise error
    return result


@asynccontextmanager
async def restoring(database: AsyncDatabase[dict[str, Any]], directory: Path) -> AsyncIterator[None]:
    """For the worker lifespan: while it is open, what waits is stored as soon as MongoDB takes it again."""
    task = asyncio.create_task(_restore_always(database, directory), name="spool")
    task.add_done_callback(_tell_its_death)
    try:
        yield
    finally:
        task.cancel()


class _EndsConnections(Exception):
    """The server ends the connection on this document, again and again, and answers everything else."""


async def _store_file(database: AsyncDatabase[dict[str, Any]], file: Path) -> bool:
    """True when this call stored it; False when it is stored already."""
    document = json_util.loads(spool_files.read(file))
    for _ in range(ATTEMPTS):
        try:
            inserted = await _insert_once(database, spool_files.collection_of(file), document)
        except ConnectionFailure:
            await database.command("ping")  # raises where the server itself is gone
        else:
            spool_files.remove(file)
            return inserted
    raise _EndsConnections


async def _insert_once(
    database: AsyncDatabase[dict[str, Any]], collection: str, document: dict[str, Any]
) -> bool:
    try:
        await database[collection].insert_one(document)
    except DuplicateKeyError:
        # It had arrived, or another worker was quicker; a clash of another unique key is a refusal.
        if await database[collection].find_one({"_id": document["_id"]}) is None:
            raise
        return False
    return True


def _is_unfit(error: PyMongoError) -> bool:
    of_document = isinstance(error, WriteError | InvalidName)
    return of_document or (isinstance(error, OperationFailure) and error.code in UNFIT_CODES)


async def _restore_always(database: AsyncDatabase[dict[str, Any]], directory: Path) -> None:
    spool = spool_files.identity(directory)
    while True:
        try:
            if (restored := await restore(database, directory)).stored:
                logger.info("documents stored that had waited: %d", restored.stored)
        except (PyMongoError, OSError) as error:
            logger.warning("documents wait for MongoDB in %s: %s", directory, type(error).__name__)
        except Exception:
            logger.exception("a look at %s failed; the next one follows", directory)
        metrics.SPOOLED.labels("mongodb", spool).set(len(waiting(directory, database.name)))
        metrics.SPOOL_REFUSED.labels("mongodb", spool).set(spool_files.refused(directory, database.name))
        await asyncio.sleep(random.uniform(0.5, 1.0) * RESTORE_SECONDS)  # noqa: S311  # jitter, not a secret


def _tell_its_death(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        logger.critical("nothing stores any more what waits for MongoDB: the task died", exc_info=error)
