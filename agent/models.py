"""The documents of this agent: yours to change. Indexes are made by `python -m agent indexes`, never by a call."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar

from beanie import Document, Indexed
from pydantic import BaseModel
from pymongo import ASCENDING, IndexModel


class Caller(Document):
    """Who called, and how often."""

    caller_id: Annotated[str, Indexed(unique=True)]
    calls: int = 0
    first_seen: datetime
    last_seen: datetime

    class Settings:
        name = "callers"


class Message(BaseModel):
    role: str
    text: str
    at: datetime


class Transcript(Document):
    """One call. MongoDB removes it at `expires_at`."""

    room: str
    job_id: Annotated[str, Indexed(unique=True)]
    caller_id: Annotated[str, Indexed()]
    started_at: datetime
    ended_at: datetime
    expires_at: datetime
    messages: list[Message]

    class Settings:
        name = "transcripts"
        # The date is in the document, so another retention needs no other index.
        indexes: ClassVar = [
            IndexModel([("expires_at", ASCENDING)], name="expires_at_ttl", expireAfterSeconds=0)
        ]


DOCUMENTS: list[type[Document]] = [Caller, Transcript]


def session_key(caller_id: str) -> str:
    """The Redis key of a caller's session state."""
    return f"session:{caller_id}"
