"""Programs that come as Python packages, of a group in uv.lock, installed by uv into the cache and nowhere else.

`python -m infra.supply.lock_groups GROUP` installs one that is missing: exit status 0, or 1 with a message.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from infra.supply.errors import BuildError
from infra.supply.places import ROOT, cache_directory

# The newest Python that a group's packages have wheels for, where that is not any.
NEWEST_PYTHON = {"secantusdb": (3, 13)}
THIS_PYTHON = sys.version_info[:2]


def installed(group: str, cache: Path) -> Path:
    """The directory with the packages of a group that names one package, installed when it is not there.

    Raises BuildError when it cannot be installed.
    """
    return next(_home(group, cache).glob("lib/python*/site-packages"))


def interpreter(group: str, cache: Path) -> Path:
    """The Python that sees those packages and nothing else. Raises BuildError as `installed` does."""
    return _home(group, cache) / "bin" / "python"


def _home(group: str, cache: Path) -> Path:
    home = cache / f"{group}-{_pinned_version(group)}"
    done = home / "installed"
    # A Python that was removed leaves a dead link.
    if not (done.exists() and (home / "bin" / "python").exists()):
        _install(group, home)
        done.touch()
    return home


def _install(group: str, home: Path) -> None:
    uv = os.environ.get("UV") or shutil.which("uv")
    if not uv or not Path(uv).exists():
        raise BuildError(f"{group}: no uv to install it with: run `make servers`, which brings uv along")
    python = _python(uv, group)
    finished = subprocess.run(
        [uv, "sync", "--frozen", "--only-group", group, "--project", ROOT],
        env=os.environ
        | {"UV_PROJECT_ENVIRONMENT": str(home), "UV_PYTHON": python, "UV_PYTHON_DOWNLOADS": "never"},
        check=False,
    )
    if finished.returncode != 0:
        raise BuildError(f"{group} could not be installed into {home}: network? uv's own words stand above")


def _python(uv: str, group: str) -> str:
    newest = NEWEST_PYTHON.get(group)
    if newest is None or newest >= THIS_PYTHON:
        return sys.executable
    below = f"{newest[0]}.{newest[1] + 1}"
    found = subprocess.run(
        [uv, "python", "find", "--system", f">=3.11,<{below}"],
        env=os.environ | {"UV_PYTHON_DOWNLOADS": "never"},
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode != 0:
        version = ".".join(map(str, newest))
        raise BuildError(
            f"{group} is not made for Python {THIS_PYTHON[0]}.{THIS_PYTHON[1]}: have Python {version} beside "
            f"it (Debian, Ubuntu: sudo apt install python{version}; macOS: brew install python@{version})"
        )
    return found.stdout.strip()


def _pinned_version(group: str) -> str:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    return re.sub(r".*==", "", str(groups[group][0]))


def main(groups: Sequence[str]) -> int:
    """Install those that are missing; the exit status."""
    try:
        for group in groups:
            installed(group, cache_directory())
    except BuildError as error:
        print(f"not installed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
