"""Layers of the node's own images, taken from its file system: a base with programs, a shell, iptables and modules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from infra.supply.offline.archives import Layer, LayerWriter
from infra.supply.offline.rootfs import change_root

# fmt: off
DIRECTORIES = [
    "bin", "etc", "tmp", "usr", "usr/bin", "usr/sbin", "usr/lib", "usr/local", "usr/local/bin",
    "var", "run", "proc", "sys", "dev",
]
BUSYBOX = [
    "sh", "cat", "ls", "mkdir", "rm", "sleep", "grep", "sed", "wget", "nslookup", "ip", "mount",
    "umount", "chmod", "cp",
    "mv",
    "httpd",
    "nc", "echo", "env", "id", "ps", "test", "true", "hostname", "tail", "head",
]
# fmt: on
TABLES = ("xtables-legacy-multi", "xtables-nft-multi", "conntrack", "nft")
MODULES = "usr/lib/x86_64-linux-gnu/xtables"

# The node's kubelet decides at its start between iptables' two kernels' interfaces and leaves a hint.
CHOOSE = r"""#!/bin/sh
hinted() { /usr/sbin/$1-save -t mangle 2>/dev/null | grep -q KUBE-IPTABLES-HINT; }
rules() { /usr/sbin/$1-save 2>/dev/null | grep -c '^-'; }
mode=legacy
if hinted iptables-nft || hinted ip6tables-nft; then mode=nft
elif ! hinted iptables-legacy; then [ "$(rules iptables-nft)" -gt "$(rules iptables-legacy)" ] && mode=nft
fi
exec /usr/sbin/%s-$mode%s "$@"
"""


def binaries_layer(path: Path, root: Path, programs: Mapping[str, Path]) -> Layer:
    """Users, certificates, and programs by their place."""
    writer = LayerWriter(path)
    _base(writer, root, DIRECTORIES)
    for place, program in programs.items():
        writer.file(place, program)
    return writer.done()


def shell_layer(path: Path, root: Path) -> Layer:
    """A base with busybox, under its most used names."""
    writer = LayerWriter(path)
    _shell(writer, root)
    return writer.done()


def iptables_layer(path: Path, root: Path) -> Layer:
    """A shell with iptables in both its forms, nft and conntrack, and the libraries they need."""
    writer = LayerWriter(path)
    _shell(writer, root)
    modules = sorted((root / MODULES).iterdir())
    for module in modules:
        name = f"{MODULES}/{module.name}"
        if module.is_symlink():
            writer.link(name, str(module.readlink()))
        else:
            writer.file(name, module, 0o644)
    for program in TABLES:
        writer.file(f"usr/sbin/{program}", root / "usr/sbin" / program)
    needing = [
        *(f"/usr/sbin/{program}" for program in TABLES),
        *(f"/{MODULES}/{each.name}" for each in modules),
    ]
    for library, real in _libraries(root, needing):
        writer.file(library, root / real)
    for family in ("iptables", "ip6tables"):
        for action in ("", "-save", "-restore"):
            for mode in ("nft", "legacy"):
                writer.link(f"usr/sbin/{family}-{mode}{action}", f"xtables-{mode}-multi")
            writer.text(f"usr/sbin/{family}{action}", CHOOSE % (family, action), 0o755)
    return writer.done()


def _shell(writer: LayerWriter, root: Path) -> None:
    _base(writer, root, [name for name in DIRECTORIES if name != "bin"])
    for name, target in (
        ("bin", "usr/bin"),
        ("sbin", "usr/sbin"),
        ("lib", "usr/lib"),
        ("lib64", "usr/lib64"),
    ):
        writer.link(name, target)
    writer.directory("usr/lib64")
    found = next(place for place in ("usr/bin/busybox", "bin/busybox") if (root / place).exists())
    writer.file("usr/bin/busybox", root / found)
    for name in BUSYBOX:
        writer.link(f"usr/bin/{name}", "busybox")


def _base(writer: LayerWriter, root: Path, directories: Iterable[str]) -> None:
    for name in directories:
        writer.directory(name, 0o1777 if name == "tmp" else 0o755)
    writer.text("etc/passwd", "root:x:0:0:root:/:/bin/sh\nnonroot:x:65532:65532:nonroot:/:/bin/sh\n")
    writer.text("etc/group", "root:x:0:\nnonroot:x:65532:\n")
    writer.text("etc/nsswitch.conf", "hosts: files dns\n")
    authorities = "etc/ssl/certs/ca-certificates.crt"
    writer.file(authorities, root / authorities, 0o644)


def _libraries(root: Path, needing: Iterable[str]) -> list[tuple[str, str]]:
    """The shared libraries of these files: their place in a layer, and the file behind it under `root`."""
    script = (
        "for file in "
        + " ".join(needing)
        + r"""; do ldd $file 2>/dev/null || true; done \
  | grep -o '/[^ ]*' | sort -u | while read -r library; do echo "$library $(readlink -f "$library")"; done"""
    )
    pairs = []
    for line in change_root(root, script).splitlines():
        if len(words := line.split()) != 2:
            continue
        name, real = (word.lstrip("/") for word in words)
        pairs.append((name if name.startswith("usr/") else f"usr/{name}", real))
    return sorted(set(pairs))
