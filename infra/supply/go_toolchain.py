"""Which Go compiler builds the embedded servers: the one on PATH where it is new enough, else a pinned one.

The pinned one is the lock file's `go` group (74 MB), installed by uv into the cache and nowhere else. Go
itself may never fetch a toolchain (GOTOOLCHAIN=local): what compiles is pinned, or the user's own choice.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from infra.supply.errors import BuildError
from infra.supply.lock_groups import installed

Version = tuple[int, ...]


@dataclass(frozen=True)
class Go:
    """A Go compiler and the environment to run it in."""

    command: Path
    version: Version
    environment: dict[str, str]


def parse_version(text: str) -> Version:
    """`go1.26.8`, `1.26` or `go1.27rc1 X:experiment` as numbers: (1, 26, 8), (1, 26), (1, 27)."""
    found = re.match(r"(?:go)?(\d+(?:\.\d+)*)", text.strip())
    if not found:
        raise BuildError(f"not a Go version: {text!r}")
    return tuple(int(part) for part in found[1].split("."))


def required_version(go_mod: Path) -> Version:
    """The `go` line of a go.mod: the oldest Go that may build it."""
    found = re.search(r"^go (\S+)", go_mod.read_text(), re.MULTILINE)
    if not found:
        raise BuildError(f"{go_mod} has no `go` line")
    return parse_version(found[1])


def find_go(needed: Version, cache: Path) -> Go:
    """The Go to build with, installed into `cache` when PATH has none of at least `needed`.

    Raises BuildError when it has to be installed and cannot be.
    """
    on_path = shutil.which("go")
    if on_path and (go := _inspect(Path(on_path), dict(os.environ))) and go.version >= needed:
        return go
    return _install(cache)


def _inspect(command: Path, environment: dict[str, str]) -> Go | None:
    environment |= {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    # From the root directory: inside a module that wants a newer Go even `go env` refuses to answer.
    answer = subprocess.run(
        [command, "env", "GOVERSION", "GOHOSTOS", "GOHOSTARCH"],
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode != 0:
        return None
    version, system, machine = answer.stdout.split("\n")[:3]
    # The servers run here: a GOOS or GOARCH set for somebody's cross-compiling must not leak in.
    return Go(command, parse_version(version), environment | {"GOOS": system, "GOARCH": machine})


def _install(cache: Path) -> Go:
    packages = installed("go", cache)
    # A GOROOT in the environment belongs to some other Go.
    environment = {name: value for name, value in os.environ.items() if name != "GOROOT"}
    if not (go := _inspect(packages / "go" / "bin" / "go", environment)):
        raise BuildError(
            f"the Go toolchain in {packages} does not run: remove {packages.parents[2]} and try again"
        )
    return go
