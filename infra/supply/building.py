"""Builds one pinned Go program, a folder of `docker/offline/`'s rooms, into the cache, once per content.

A build is keyed by what goes into it: sources, go.sum's hashes, flags, platform; not Go's patch version.
The kernel holds the lock (flock), so a run that is killed blocks nobody; the binary appears in one rename.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from infra.supply.errors import BuildError
from infra.supply.go_modules import overlay
from infra.supply.go_toolchain import Go, required_version
from infra.supply.places import ROOT

SOURCES = ROOT / "docker" / "offline"
ROOMS = ("embedded", "tools")
# -buildvcs=false: the binary depends on the key's content alone, not on the state of the checkout around it.
FLAGS = ("-mod=readonly", "-buildvcs=false", "-trimpath")
POLL_SECONDS = 0.2

_NETWORK = re.compile(
    r"dial tcp|no such host|i/o timeout|connection re(?:fused|set)|TLS handshake|proxyconnect|x509:"
    r"|unexpected EOF|: (?:403|407|429|5\d\d) |server misbehaving|network is unreachable"
)


def source_of(name: str) -> Path:
    """The folder that pins a program. Raises BuildError, naming those that there are, when none has that name."""
    for room in ROOMS:
        if (SOURCES / room / name / "go.mod").exists():
            return SOURCES / room / name
    known = sorted(go_mod.parent.name for room in ROOMS for go_mod in SOURCES.glob(f"{room}/*/go.mod"))
    raise BuildError(f"{name}: no such program; there are: {', '.join(known)}")


def linker_flags(source: Path) -> str:
    """`-ldflags`: no symbol table; and what the file `ldflags` says (versions, which modules do not carry)."""
    file = source / "ldflags"
    return " ".join(["-s -w", *(file.read_text().split() if file.exists() else ())])


def build_tags(source: Path) -> str:
    """`-tags`: what the file `tags` says, to leave out parts of a program that are not needed here."""
    file = source / "tags"
    return ",".join(file.read_text().split()) if file.exists() else ""


class Stopped(Exception):
    """The build was asked to stop and has stopped."""


@dataclass
class Build:
    """One program's build and how far it has come: `step` is written here, and read by whoever shows it."""

    name: str
    servers: Path
    step: str = "starting"
    started: float | None = None
    key: str = field(init=False)

    def __post_init__(self) -> None:
        self.key = f"{self.name}-{content_hash(source_of(self.name))}"

    @property
    def path(self) -> Path:
        """Where the executable is, or will be."""
        return self.servers / self.key / self.name

    @property
    def log(self) -> Path:
        """What Go said while building it."""
        return self.servers / f"{self.key}.log"

    def run(self, go: Go, stop: threading.Event) -> None:
        """Build it unless it is there. Raises BuildError when it fails, Stopped when `stop` is set."""
        self.started = time.monotonic()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._locked(stop):
            if not self.path.exists():
                self._build(go, stop)

    @contextmanager
    def _locked(self, stop: threading.Event) -> Iterator[None]:
        with (self.servers / f"{self.key}.lock").open("w") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    self.step = "another run is building it"
                    if stop.wait(POLL_SECONDS):
                        raise Stopped from None
            yield

    def _build(self, go: Go, stop: threading.Event) -> None:
        self.step = "starting"
        # Under the lock, what another run left half done is nobody's. A name of its own all the same: that
        # run's compiler may have outlived it and still write.
        for stale in self.path.parent.glob(".build.*"):
            shutil.rmtree(stale, ignore_errors=True)
        # Go's work directory too (hundreds of MB), which Go leaves behind in /tmp when it is stopped early.
        workspace = Path(tempfile.mkdtemp(dir=self.path.parent, prefix=".build."))
        unfinished = workspace / self.name
        source = source_of(self.name)
        # A program with a main.go of ours is that package; the others are the one `tool` of their go.mod.
        package = "." if (source / "main.go").exists() else "tool"
        try:
            seen = overlay(go, source, workspace)
            with self.log.open("w") as log:
                compiler = subprocess.Popen(
                    [
                        go.command,
                        "build",
                        "-v",
                        *FLAGS,
                        "-tags",
                        build_tags(source),
                        "-ldflags",
                        linker_flags(source),
                        *seen,
                        "-o",
                        unfinished,
                        package,
                    ],
                    cwd=source,
                    env=go.environment | {"GOTMPDIR": str(workspace)},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    # So that stopping it also stops the compilers it started. No session of its own: Linux shares
                    # cores by session first, where `nice make …` would count for nothing.
                    process_group=0,
                )
            self._follow(compiler, stop)
            unfinished.chmod(0o755)
            unfinished.replace(self.path)
        finally:
            shutil.rmtree(workspace, ignore_errors=True)

    def _follow(self, compiler: subprocess.Popen[bytes], stop: threading.Event) -> None:
        try:
            while compiler.poll() is None:
                self.step = _current_step(self.log)
                if stop.wait(POLL_SECONDS):
                    raise Stopped
        finally:
            if compiler.returncode is None:
                os.killpg(compiler.pid, signal.SIGKILL)
                compiler.wait()
        if compiler.returncode != 0:
            raise BuildError(_failure(self.name, compiler.returncode, self.log))


def content_hash(source: Path) -> str:
    """16 hex digits over everything that decides what the binary will be; an editor's hidden files do not."""
    digest = hashlib.sha256()
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if path.is_file() and not any(part.startswith(".") for part in relative.parts):
            content = path.read_bytes()
            digest.update(f"{relative}\0{len(content)}\0".encode() + content)
    digest.update("\0".join([*FLAGS, sys.platform, platform.machine()]).encode())
    return digest.hexdigest()[:16]


def go_needed(names: list[str]) -> tuple[int, ...]:
    """The oldest Go that may build all of these."""
    return max(required_version(source_of(name) / "go.mod") for name in names)


def _current_step(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 2048))
        lines = file.read().decode(errors="replace").splitlines()
    last = lines[-1] if lines else ""
    if last.startswith("go: downloading "):
        return last.removeprefix("go: ")
    return f"compiling {last}" if last else "starting"


def _failure(name: str, status: int, log: Path) -> str:
    text = log.read_text(errors="replace")
    last = "\n".join(f"  {line}" for line in text.splitlines()[-15:])
    cause = (
        "its Go modules could not be downloaded: network?"
        if _NETWORK.search(text)
        else f"go build exited with {status}"
    )
    return f"{name}: {cause}\n{last}\n  all of it: {log}"
