"""Commands beside the worker: `python -m agent indexes | expire | restore | forget CALLER_ID`."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime

from pymongo.errors import PyMongoError
from redis.exceptions import RedisError

from agent.models import DOCUMENTS, Caller, Transcript, session_key
from agent.runtime import AgentRuntimeError, SettingsError, metrics
from agent.runtime.datastores.mongodb import mongodb
from agent.runtime.datastores.mongodb_indexes import create_indexes
from agent.runtime.datastores.mongodb_spool import restore
from agent.runtime.datastores.redis import redis
from agent.runtime.scope import command_scope
from agent.runtime.settings import SpoolSettings


async def make_indexes() -> None:
    """Make what the documents declare and the database lacks; running it again changes nothing."""
    async with mongodb(DOCUMENTS):
        made = await create_indexes(DOCUMENTS)
    print(f"indexes made: {', '.join(made)}" if made else "all indexes are there")


async def expire() -> None:
    """Delete transcripts past their date, for servers that do not do it themselves (FerretDB)."""
    async with mongodb(DOCUMENTS):
        result = await Transcript.find(Transcript.expires_at <= datetime.now(UTC)).delete()
    print(f"expired transcripts deleted: {result.deleted_count if result else 0}")


async def restore_spooled() -> None:
    """Store the documents in AGENT_SPOOL_DIRECTORY that MongoDB had not taken; workers do this by themselves."""
    directory = SpoolSettings.from_environment().directory
    if not directory.is_dir():
        raise SettingsError(f"environment: AGENT_SPOOL_DIRECTORY={str(directory)!r}: no such directory")
    async with mongodb(DOCUMENTS) as database:
        done = await restore(database, directory)
    print(
        f"documents stored from {directory}: {done.stored}, set aside: {done.set_aside}, waiting: {done.left}"
    )


async def forget(caller_id: str) -> None:
    """Delete everything stored about one caller. A call in progress stores its transcript at its end: run it after."""
    async with mongodb(DOCUMENTS) as database, redis() as cache:
        if os.environ.get(
            "AGENT_SPOOL_DIRECTORY"
        ):  # what waits here is stored first, and so deleted with the rest
            await restore(database, SpoolSettings.from_environment().directory)
        transcripts = await Transcript.find(Transcript.caller_id == caller_id).delete()
        callers = await Caller.find(Caller.caller_id == caller_id).delete()
        keys = await cache.delete(session_key(caller_id))
    counts = [result.deleted_count if result else 0 for result in (transcripts, callers)]
    print(f"deleted of {caller_id!r}: transcripts {counts[0]}, callers {counts[1]}, session keys {keys}")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0, or 1 with one line on stderr when a setting is unusable or a datastore does not answer."""
    parser = argparse.ArgumentParser(prog="python -m agent", description=__doc__)
    commands = parser.add_subparsers(required=True)
    for command, work in (("indexes", make_indexes), ("expire", expire), ("restore", restore_spooled)):
        commands.add_parser(command, help=work.__doc__).set_defaults(work=lambda _, work=work: work())
    forgetting = commands.add_parser("forget", help=forget.__doc__)
    forgetting.add_argument("caller_id")
    forgetting.set_defaults(work=lambda arguments: forget(arguments.caller_id))
    arguments = parser.parse_args(argv)
    metrics.keep_in_memory()
    try:
        asyncio.run(_in_scope(arguments.work(arguments)))
    except (AgentRuntimeError, PyMongoError, RedisError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


async def _in_scope(work: Awaitable[None]) -> None:
    with command_scope():
        await work


if __name__ == "__main__":
    sys.exit(main())
