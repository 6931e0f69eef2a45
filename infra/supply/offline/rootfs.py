"""Debian as files, from its package registry: what the node image and the images of the stack stand on.

The kernel's view of a package mirror is whatever this machine's apt uses; debootstrap checks signatures as ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from infra.supply.cached import once
from infra.supply.shell import run, which

SUITE = "bookworm"
DEBOOTSTRAP_SECONDS = 1800


def bootstrap(root: Path, packages: Sequence[str]) -> None:
    """A minimal Debian with these packages, under `root`. Needs root."""
    run(
        [
            which("debootstrap") or "debootstrap",
            "--variant=minbase",
            f"--include={','.join(packages)}",
            SUITE,
            root,
        ],
        within=DEBOOTSTRAP_SECONDS,
    )


def change_root(root: Path, script: str) -> str:
    """What a shell script writes that runs inside `root`."""
    return run(["chroot", root, "/bin/bash", "-euc", script], within=DEBOOTSTRAP_SECONDS)


def python_base(key: str) -> Path:
    """The directory that holds `rootfs.tar`: Debian with Python and the authorities apt trusts, for images."""

    def make(directory: Path) -> None:
        root = directory / "root"
        bootstrap(root, ["ca-certificates", "python3", "python3-venv", "tini", "libgomp1"])
        change_root(
            root, "rm -rf /var/cache/apt/* /var/lib/apt/lists/* /usr/share/{doc,man,locale} /var/log/*.log"
        )
        run(
            [
                "tar",
                "--create",
                "--numeric-owner",
                "--file",
                directory / "rootfs.tar",
                "--directory",
                root,
                ".",
            ]
        )
        run(["rm", "-rf", "--one-file-system", root])

    return once("python-base", key, make)
