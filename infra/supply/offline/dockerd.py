"""A Docker Engine of this project's own, for root, where none answers.

It makes no address translation and no forwarding rule, so containers have no way out. `infra.supply.engine` ends it.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from infra.supply.engine import NONE_ANSWERS, Engine, own_home, running
from infra.supply.errors import BuildError
from infra.supply.offline.packages import need
from infra.supply.places import ROOT, cache_directory
from infra.supply.shell import which

START_SECONDS = 60
# Bit 24 of the bounding set. Where a sandbox lacks it, runc refuses every privileged container: see docker/offline.
CAP_SYS_RESOURCE = 24


def start() -> Engine:
    """Raises BuildError where it may not be started, or does not answer."""
    if os.geteuid() != 0:
        raise BuildError(NONE_ANSWERS)
    need("dockerd", "docker", "runc")
    home, data = own_home(), cache_directory() / "kind" / "docker"
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
    raise BuildError("\n  ".join(["dockerd did not start:", *last, f"all of it: {home}/dockerd.log"]))


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


def _may_raise_limits() -> bool:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapBnd:"):
            return bool(int(line.split()[1], 16) >> CAP_SYS_RESOURCE & 1)
    return True
