"""The Docker Engine that the cluster runs on: the user's, which answers, or the one of this project's own.

Ours keeps images in the per-user cache and everything else under /run. `stop` ends it by its own process id; the images
stay for the next time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from infra.supply.places import cache_directory
from infra.supply.shell import CommandFailed, run

STOP_SECONDS = 30
NONE_ANSWERS = """\
no Docker Engine answers `docker info`: start it, or install it (https://docs.docker.com/engine/install/).
  Without a container registry, as root: OFFLINE=1 starts one of this project's own."""


@dataclass(frozen=True)
class Engine:
    """A Docker Engine that answers."""

    environment: dict[str, str]
    """For `docker` and `kind`."""
    ours: bool

    def docker(self, *arguments: str | Path, stdin: bytes | None = None, within: float = 600) -> str:
        return run(["docker", *arguments], env=self.environment, stdin=stdin, within=within)

    def has_image(self, name: str) -> bool:
        return bool(self.docker("image", "ls", "--quiet", name).strip())


def own_home() -> Path:
    """What our own engine has beside its images."""
    # Sockets have short names only (108 bytes); two caches are two engines.
    return Path("/run") / f"agent-kind-{hashlib.sha256(str(cache_directory()).encode()).hexdigest()[:8]}"


def running() -> Engine | None:
    """The user's engine, else ours; None where neither answers."""
    for environment, ours in (
        (dict(os.environ), False),
        (os.environ | {"DOCKER_HOST": f"unix://{own_home()}/docker.sock"}, True),
    ):
        with contextlib.suppress(CommandFailed):
            run(["docker", "info", "--format", "{{.ID}}"], env=environment, within=20)
            return Engine(environment, ours)
    return None


def stop() -> None:
    """End the engine of this project's own, and what it leaves under /run. Nothing happens where there is none."""
    home = own_home()
    with contextlib.suppress(FileNotFoundError, ValueError, psutil.NoSuchProcess):
        daemon = psutil.Process(int((home / "docker.pid").read_text()))
        if str(home) in " ".join(daemon.cmdline()):  # else the number is somebody else's by now
            daemon.send_signal(signal.SIGTERM)
            if not _ended(daemon):
                raise CommandFailed(f"dockerd ({daemon.pid}) has not ended within {STOP_SECONDS} s")
    if home.exists():
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in sorted((each for each in mounts if each.startswith(f"{home}/")), reverse=True):
            run(["umount", "--lazy", mount])
        run(["rm", "-rf", "--one-file-system", home])


def _ended(daemon: psutil.Process) -> bool:
    """Wait until it no longer runs, for some time at most. Dead and not yet reaped is ended: it is nobody's child."""
    deadline = time.monotonic() + STOP_SECONDS
    with contextlib.suppress(psutil.NoSuchProcess):
        while daemon.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.1)
    return True
