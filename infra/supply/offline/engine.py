"""The Docker Engine that the cluster runs on: the one that answers, else (root, OFFLINE=1) one of this project's own.

Ours keeps images in the per-user cache and everything else under /run; it makes no address translation and no
forwarding rule, so containers have no way out. `stop` ends it by its own process id; the images stay for the next time.
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

from infra.supply.binaries import cache_directory
from infra.supply.go_toolchain import ROOT
from infra.supply.offline.packages import need
from infra.supply.shell import KindError, run, which

START_SECONDS = 60
STOP_SECONDS = 30
# Bit 24 of the bounding set. Where a sandbox lacks it, runc refuses every privileged container: see docker/offline.
CAP_SYS_RESOURCE = 24


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


def _home() -> Path:
    # Sockets have short names only (108 bytes); two caches are two engines.
    return Path("/run") / f"agent-kind-{hashlib.sha256(str(cache_directory()).encode()).hexdigest()[:8]}"


def running() -> Engine | None:
    """The user's engine, else ours; None where neither answers."""
    for environment, ours in (
        (dict(os.environ), False),
        (os.environ | {"DOCKER_HOST": f"unix://{_home()}/docker.sock"}, True),
    ):
        with contextlib.suppress(KindError):
            run(["docker", "info", "--format", "{{.ID}}"], env=environment, within=20)
            return Engine(environment, ours)
    return None


def start(*, offline: bool) -> Engine:
    """The engine that answers, started where there is none and this may be done. Raises KindError otherwise."""
    if found := running():
        return found
    if not offline or os.geteuid() != 0:
        raise KindError(
            "no Docker Engine answers `docker info`: start it, or install it (https://docs.docker.com/engine/install/).\n"
            "  Without a container registry, as root: OFFLINE=1 starts one of this project's own."
        )
    need("dockerd", "docker", "runc", offline=offline)
    home, data = _home(), cache_directory() / "kind" / "docker"
    home.mkdir(parents=True, exist_ok=True)
    data.mkdir(parents=True, exist_ok=True)
    command: list[str | Path] = [
        which("dockerd") or "dockerd",
        "--host", f"unix://{home}/docker.sock",
        "--pidfile", home / "docker.pid",
        "--exec-root", home / "exec",
        "--data-root", data,
        "--bridge", "none",
        "--iptables=false",
        "--ip6tables=false",
        "--ip-forward=true",
        "--default-address-pool", "base=10.88.0.0/16,size=24",
    ]  # fmt: skip
    if not _may_raise_limits():
        wrapper = ROOT / "docker" / "offline" / "kind" / "runc-without-sys-resource"
        command += ["--add-runtime", f"bounded={wrapper}", "--default-runtime", "bounded"]
    pid = _spawn([str(part) for part in command], home / "dockerd.log")
    deadline = time.monotonic() + START_SECONDS
    while os.waitpid(pid, os.WNOHANG) == (0, 0) and time.monotonic() < deadline:
        if found := running():
            return found
        time.sleep(0.2)
    last = (home / "dockerd.log").read_text(errors="replace").splitlines()[-8:]
    raise KindError("\n  ".join(["dockerd did not start:", *last, f"all of it: {home}/dockerd.log"]))


def _spawn(command: list[str], log: Path) -> int:
    """Start what outlives this process (`make kind-down` stops it), which `subprocess` would warn of; its pid."""
    written = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), written, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
        # A lock of whoever called this (flock, make) would be held for as long as it lives.
        *((os.POSIX_SPAWN_CLOSE, descriptor) for descriptor in _inheritable()),
    ]
    return os.posix_spawnp(command[0], command, os.environ, file_actions=files, setsid=True)


def _inheritable() -> list[int]:
    found = []
    for descriptor in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208  # numbers, no paths
        with contextlib.suppress(OSError):  # the listing's own
            if descriptor > 2 and os.get_inheritable(descriptor):
                found.append(descriptor)
    return found


def stop() -> None:
    """End the engine of this project's own, and what it leaves under /run. Nothing happens where there is none."""
    home = _home()
    with contextlib.suppress(FileNotFoundError, ValueError, psutil.NoSuchProcess):
        daemon = psutil.Process(int((home / "docker.pid").read_text()))
        if str(home) in " ".join(daemon.cmdline()):  # else the number is somebody else's by now
            daemon.send_signal(signal.SIGTERM)
            if not _ended(daemon):
                raise KindError(f"dockerd ({daemon.pid}) has not ended within {STOP_SECONDS} s")
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


def _may_raise_limits() -> bool:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapBnd:"):
            return bool(int(line.split()[1], 16) >> CAP_SYS_RESOURCE & 1)
    return True
