"""The programs of the node image, compiled from docker/offline/kind: Kubernetes, etcd, CoreDNS, network and storage."""

from __future__ import annotations

from pathlib import Path

from infra.supply.building import FLAGS, linker_flags
from infra.supply.cached import key_of, once
from infra.supply.errors import BuildError
from infra.supply.go_toolchain import find_go, required_version
from infra.supply.places import ROOT, cache_directory
from infra.supply.shell import CommandFailed, run

SOURCE = ROOT / "docker" / "offline" / "kind"
# One `go build` each: together they would meet two spellings of one import path (local-path-provisioner's logrus).
PACKAGES = (
    "./hyperkube",
    "./kindnetd",
    "./coredns",
    "./etcd",
    "./pause",
    "github.com/rancher/local-path-provisioner",
)
# The whole of Kubernetes on one busy core.
BUILD_SECONDS = 5400


def programs() -> Path:
    """The directory that holds them, compiled (about 12 minutes on two cores) unless the cache has them.

    Raises BuildError when one does not compile.
    """
    return once("programs", key_of(SOURCE, *FLAGS), _build)


def _build(directory: Path) -> None:
    go = find_go(required_version(SOURCE / "go.mod"), cache_directory())
    flags = [*FLAGS, "-ldflags", linker_flags(SOURCE)]
    for package in PACKAGES:
        print(f"  compiling {package.rsplit('/', 1)[-1]}", flush=True)
        try:
            run(
                ["nice", go.command, "build", *flags, "-o", f"{directory}/", package],
                cwd=SOURCE,
                env=go.environment,
                within=BUILD_SECONDS,
            )
        except CommandFailed as error:
            raise BuildError(f"{error}\n  (run it again: what was compiled is kept)") from error
