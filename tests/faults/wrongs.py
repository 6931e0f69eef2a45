"""What `agents/faulty.py` can do wrong: one word per call, sent as the dispatch's metadata."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path

# The agent leaves a file here for every point that a call of it reached: `<room>.<point>`, with its pid.
MARKS = "FAULTS_MARKS"
# Set for `agents/asking.py`: redis-py backs off without jitter.
NO_JITTER = "FAULTS_NO_JITTER"

# Set for `agents/talking.py`: it is LiveKit's own AgentServer.
PLAIN = "FAULTS_PLAIN"
# Where its jobs connect to, instead of to where their worker is registered.
SIGNALLING = "FAULTS_SIGNALLING"
# What LiveKit's pauses between attempts to register are divided by: 131 s are too long for a test.
HASTE = "FAULTS_HASTE"
# Metadata of its calls that go on without a caller.
TRANSFERS = "transfers"
# Said to it: the agent ends its call, and its caller stays.
LEAVE = b"leave"

# Set for `agents/worker_faulty.py`: the open files that it may have.
OPEN_FILES = "FAULTS_OPEN_FILES"


class Wrong(StrEnum):
    """What goes wrong in this call."""

    NOTHING = "nothing"
    OPEN_HANGS = "open hangs"
    RAISES_BEFORE_YIELD = "raises before yield"
    RAISES_AFTER_YIELD = "raises after yield"
    BLOCKS_AFTER_YIELD = "blocks the loop after yield"
    LIFESPAN_DIES = "lifespan dies"
    CLOSE_HANGS = "close hangs"
    CLOSE_RAISES = "close raises"
    CLOSE_IGNORES_CANCEL = "close ignores its cancel"
    FAILS_BEFORE_CONNECT = "fails before connect"
    FAILS_AFTER_CONNECT = "fails after connect"
    CANCELS_ITSELF = "cancels itself"
    DOES_NOT_RETURN = "does not return"
    IGNORES_CANCEL = "ignores its cancel"
    LOSES_CANCEL = "loses its cancel"
    SESSION_END_RAISES = "session end raises"
    CALLBACK_RAISES = "a shutdown callback raises"
    CALLBACK_HANGS = "a shutdown callback hangs"
    RUNS_A_PROGRAM = "runs a program"
    FORKS = "forks"
    RUNS_OUT_OF_MEMORY = "runs out of memory"
    GROWS = "grows when told"
    RUNS_OUT_OF_DESCRIPTORS = "runs out of descriptors"
    KEEPS_A_THREAD = "keeps a thread"


class Point(StrEnum):
    """What a call reached."""

    OPENING = "opening"
    OPENED = "opened"
    IN_THE_CALL = "in-the-call"
    CALLER = "caller"
    LEAVING = "leaving"
    LOST = "lost"
    BACK = "back"
    HELPER = "helper"
    GO = "go"
    """Left by the row: the agent does its wrong now."""


def mark(room: str, point: Point, pid: int) -> None:
    """Note that the call in `room` reached `point`; complete or not there at all."""
    path = marked(Path(os.environ[MARKS]), room, point)
    unfinished = path.with_suffix(".new")
    unfinished.write_text(str(pid))
    unfinished.rename(path)


def marked(directory: Path, room: str, point: Point) -> Path:
    return directory / f"{room}.{point}"


class WorkerWrong(StrEnum):
    """What `agents/worker_faulty.py` does wrong: FAULTS_WORKER."""

    NOTHING = "nothing"
    RAISES_BEFORE_YIELD = "raises before yield"
    OPEN_HANGS = "open hangs"
    RAISES_AFTER_YIELD = "raises after yield"
    DIES = "dies"
