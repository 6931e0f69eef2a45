"""Did every answered call leave its transcript in MongoDB? Asked of the database itself, after the workers are gone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pymongo import AsyncMongoClient

from infra.local.caller import CallResult, Outcome
from infra.local.servers.mongodb import DATABASE

ANSWER_MS = 10_000


async def missing(url: str, results: Iterable[CallResult]) -> list[str]:
    """Rooms of answered calls whose transcript is not there, or lacks something that the caller said."""
    answered = [result for result in results if result.outcome is Outcome.ANSWERED]
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        url,
        maxPoolSize=1,
        serverMonitoringMode="poll",
        serverSelectionTimeoutMS=ANSWER_MS,
        timeoutMS=ANSWER_MS,
    )
    async with client:
        wanted = {"room": {"$in": [result.room for result in answered]}}
        documents = {
            document["room"]: document async for document in client[DATABASE]["transcripts"].find(wanted)
        }
    return [result.room for result in answered if not holds(documents.get(result.room), result)]


def holds(transcript: dict[str, Any] | None, call: CallResult) -> bool:
    """True if the transcript is that caller's and has each of their sentences."""
    if transcript is None or transcript.get("caller_id") != call.caller_id:
        return False
    said = [message for message in transcript.get("messages", []) if message.get("role") == "user"]
    return len(said) >= call.answers
