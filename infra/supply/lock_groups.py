"""Programs that come as Python packages, of a group in uv.lock, installed by uv into the cache and nowhere else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from infra.supply.errors import BuildError
from infra.supply.places import ROOT


def installed(group: str, cache: Path) -> Path:
    """The directory with the packages of a group that names one package, installed when it is not there.

    Raises BuildError when it cannot be installed.
    """
    home = cache / f"{group}-{_pinned_version(group)}"
    done = home / "installed"
    if not done.exists():
        _install(group, home)
        done.touch()
    return next(home.glob("lib/python*/site-packages"))


def _install(group: str, home: Path) -> None:
    uv = os.environ.get("UV") or shutil.which("uv")
    if not uv or not Path(uv).exists():
        raise BuildError(f"{group}: no uv to install it with: run `make servers`, which brings uv along")
    finished = subprocess.run(
        [uv, "sync", "--frozen", "--only-group", group, "--project", ROOT],
        env=os.environ
        | {"UV_PROJECT_ENVIRONMENT": str(home), "UV_PYTHON": sys.executable, "UV_PYTHON_DOWNLOADS": "never"},
        check=False,
    )
    if finished.returncode != 0:
        raise BuildError(f"{group} could not be installed into {home}: network? uv's own words stand above")


def _pinned_version(group: str) -> str:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    return re.sub(r".*==", "", str(groups[group][0]))
