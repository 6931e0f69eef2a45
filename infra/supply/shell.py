"""Commands of other programs: run, with a deadline, and a failure that says what failed and what it said."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

LAST_LINES = 15


class CommandFailed(Exception):
    """What failed, and its last words."""


def run(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    within: float = 600,
    cwd: Path | None = None,
) -> str:
    """What the command writes to standard output. Raises CommandFailed when it fails or takes more than `within` s."""
    name = " ".join(str(word) for word in command[:3])
    try:
        # Never the terminal: `docker exec --interactive` would take what somebody types for the program after it.
        done = subprocess.run(
            command, env=env, input=stdin or b"", capture_output=True, timeout=within, cwd=cwd, check=False
        )
    except FileNotFoundError:
        raise CommandFailed(f"{command[0]}: not found") from None
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"{name}: not done within {within:g} s") from None
    if done.returncode != 0:
        said = (done.stderr + done.stdout).decode(errors="replace").strip().splitlines()
        raise CommandFailed("\n  ".join([f"{name}: exit status {done.returncode}", *said[-LAST_LINES:]]))
    return done.stdout.decode(errors="replace")


def which(name: str) -> str | None:
    """A program on PATH or where Debian keeps those for root, which PATH may lack."""
    return shutil.which(name) or shutil.which(name, path="/usr/local/sbin:/usr/sbin:/sbin")
