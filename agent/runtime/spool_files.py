"""The spool's files: `<database>/<collection>.<_id>.json`, whole or not there at all; `.refused` once set aside.

Version 0.1.0 had no directory for each database: what lies beside those is taken for the database of whoever looks.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from agent.runtime.errors import SettingsError

logger = logging.getLogger("agent.runtime")

WAITING, REFUSED = ".json", ".refused"
IDENTITY = ".spool"
# A file's name has 255 bytes at most, the collection's part in it 120 (MongoDB allows 255, with its database).
LONGEST_ID = 100


@dataclass(frozen=True)
class Place:
    """Where the documents of one database wait."""

    directory: Path
    database: str

    @property
    def own(self) -> Path:
        return self.directory / quote(self.database, safe="")

    def write(self, collection: str, identifier: str, text: str, *, unfit: bool = False) -> Path:
        """On disk when this returns, whole or not at all."""
        self.own.mkdir(parents=True, exist_ok=True)
        name = f"{quote(collection, safe='')}.{_part(identifier)}"
        partial, file = self.own / f"{name}.part", self.own / f"{name}{REFUSED if unfit else WAITING}"
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(descriptor, "w") as out:
                out.write(text)
                out.flush()
                os.fsync(out.fileno())
            return partial.rename(file)
        except OSError:
            partial.unlink()  # half of it would take room on a disk that has none
            raise


def read(file: Path) -> str:
    def without_waiting(path: str, flags: int) -> int:
        return os.open(path, flags | os.O_NONBLOCK)  # a pipe, say, would wait for who writes into it

    with open(file, encoding="utf-8", opener=without_waiting) as readable:
        return readable.read()


def remove(file: Path) -> None:
    file.unlink(missing_ok=True)


def _part(identifier: str) -> str:
    text = quote(identifier, safe="").replace(".", "%2E")
    return text if len(text) <= LONGEST_ID else hashlib.sha256(identifier.encode()).hexdigest()


def collection_of(file: Path) -> str:
    """Of a file named by `Place.write`; the last dot before the ending is the one after the collection, whose own may
    have some."""
    return unquote(file.name.removesuffix(WAITING).rpartition(".")[0])


def waiting(directory: Path, database: str) -> list[Path]:
    """What waits for `database`, oldest first."""
    return sorted(_found(directory, database, WAITING), key=_age)


def refused(directory: Path, database: str) -> int:
    """How many files are set aside."""
    return len(_found(directory, database, REFUSED))


def _found(directory: Path, database: str, ending: str) -> list[Path]:
    return [*directory.glob(f"*{ending}"), *Place(directory, database).own.glob(f"*{ending}")]


def _age(file: Path) -> float:
    try:
        return file.lstat().st_mtime
    except OSError:  # another worker took it meanwhile
        return 0.0


def set_aside(file: Path, why: BaseException) -> bool:
    """Rename a file that no server will take, whatever it is. False when it is gone, or cannot be renamed."""
    try:
        file.rename(file.with_suffix(REFUSED))
    except FileNotFoundError:  # another worker did
        return False
    except OSError as error:
        logger.error("%s cannot be stored (%s), nor set aside: %s", file, type(why).__name__, error.strerror)
        return False
    logger.error("%s cannot be stored and is set aside as %s: %s", file, REFUSED, _told(why))
    return True


def _told(why: BaseException) -> str:
    """Its kind alone: what a driver or a decoder says quotes the document, which is what somebody said in a call."""
    code = getattr(why, "code", None)
    return type(why).__name__ + (f" ({code})" if code is not None else "")


def is_readable_one_day(file: Path, error: OSError) -> bool:
    """Whether it is the disk, or a right, that keeps a file from being read, and not what it is."""
    return file.is_file() and error.errno not in (errno.ENOENT, errno.EISDIR, errno.ELOOP)


def identity(directory: Path) -> str:
    """A name for this directory that every worker which shares it reads alike, so that nobody counts it twice."""
    file = directory / IDENTITY
    drawn = directory / f"{IDENTITY}.{uuid.uuid4().hex}"
    try:
        if not file.exists():
            drawn.write_text(uuid.uuid4().hex[:12])
            try:
                os.link(drawn, file)  # of two at once, one wins
            except FileExistsError:
                pass
            finally:
                drawn.unlink(missing_ok=True)
        return file.read_text().strip()
    except OSError:
        return ""


def check(directory: Path, metrics_directory: Path) -> None:
    """At a worker's start: will it keep what is put into it?

    Raises:
        SettingsError: it cannot be written, or LiveKit would empty it.
    """
    said = f"environment: AGENT_SPOOL_DIRECTORY={str(directory)!r}"
    if directory.resolve().is_relative_to(metrics_directory.resolve()):
        raise SettingsError(
            f"{said} is in PROMETHEUS_MULTIPROC_DIR, which LiveKit empties at every start; accepted: one outside of it"
        )
    trial = directory / f"{IDENTITY}.{uuid.uuid4().hex}"
    try:
        trial.write_text("")
        trial.unlink()
    except OSError as error:
        raise SettingsError(
            f"{said}: nothing can be written there ({error.strerror}); accepted: a directory that takes files"
        ) from None
