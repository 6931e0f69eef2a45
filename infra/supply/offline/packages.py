"""Programs that the system's package manager brings: installed where that may be done, else named."""

from __future__ import annotations

import os

from infra.supply.errors import BuildError
from infra.supply.shell import CommandFailed, run, which

# Which Debian package brings which program.
PACKAGES = {"dockerd": "docker.io", "docker": "docker.io", "debootstrap": "debootstrap", "runc": "runc"}


def need(*programs: str) -> None:
    """Have these on the machine. Installs them by apt-get for root.

    Raises BuildError, naming the program and how to get it, where it may not or cannot.
    """
    missing = sorted({PACKAGES[program] for program in programs if not which(program)})
    if not missing:
        return
    advice = f"sudo apt-get install {' '.join(missing)}"
    if os.geteuid() != 0 or not which("apt-get"):
        raise BuildError(f"needed here: {', '.join(missing)} (Debian, Ubuntu: {advice})")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        run(["apt-get", "update", "-qq"], env=environment)
        run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], env=environment)
    except CommandFailed as error:
        raise BuildError(f"{advice} failed: {error}") from error
