"""Files that take long to make, kept in the cache under a key of what goes into them, and made by one run at a time."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.supply.places import cache_directory

# What is made by files that were moved, and is the same: its key now, and the one by which it is in caches already.
# A line is of no use, and goes, when what it names is changed.
KNOWN_AS: dict[str, str] = {
    "6cf0fff67357": "44f2cc8e26c9",  # the kind node's image
    "707d70d8a3f6": "02d33f25481b",  # Debian with Python
    "c9e2edbb7183": "1f7fc002eca4",  # the servers' images
    "e0b091f3f5de7ff3": "39d249784912a7a1",  # schemas of Kubernetes
}


def known_as(key: str) -> str:
    """The key by which caches know what this key means."""
    return KNOWN_AS.get(key, key)


def key_of(*parts: Path | str) -> str:
    """12 hex digits over the content of files and folders, and over texts."""
    digest = hashlib.sha256()
    for part in parts:
        for path in _files(part) if isinstance(part, Path) else ():
            content = path.read_bytes()
            digest.update(f"{path.name}\0{len(content)}\0".encode() + content)
        if isinstance(part, str):
            digest.update(part.encode() + b"\0")
    return known_as(digest.hexdigest()[:12])


@contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Waits for another run that makes the same; the kernel frees the lock with the process, whatever ends that."""
    kind = cache_directory() / "kind"
    kind.mkdir(parents=True, exist_ok=True)
    with (kind / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def once(name: str, key: str, make: Callable[[Path], None]) -> Path:
    """The directory `<cache>/kind/<name>-<key>`, filled by `make` if it is not there. It appears in one rename.

    Another run that makes the same is waited for; what it left half done is removed.
    """
    kind = cache_directory() / "kind"
    done = kind / f"{name}-{key}"
    if done.exists():
        return done
    with one_at_a_time(name):
        if not done.exists():
            for stale in kind.glob(f".{name}.*"):
                shutil.rmtree(stale, ignore_errors=True)
            unfinished = Path(tempfile.mkdtemp(dir=kind, prefix=f".{name}."))
            make(unfinished)
            unfinished.chmod(0o755)
            unfinished.rename(done)
    return done


def _files(part: Path) -> list[Path]:
    if part.is_file():
        return [part]
    return sorted(path for path in part.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
