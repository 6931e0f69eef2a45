"""The file system of a kind node: Debian, containerd, the CNI plugins, what the kind module itself puts in its base
image, and Kubernetes as one program that acts as the name it is called by."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from infra.supply.building import source_of
from infra.supply.errors import BuildError
from infra.supply.go_toolchain import find_go, required_version
from infra.supply.offline.node_programs import SOURCE
from infra.supply.offline.rootfs import bootstrap, change_root
from infra.supply.places import cache_directory
from infra.supply.shell import run

PACKAGES = [
    "systemd",
    "systemd-sysv",
    "conntrack",
    "iptables",
    "nftables",
    "iproute2",
    "ethtool",
    "util-linux",
    "mount",
    "kmod",
    "libseccomp2",
    "pigz",
    "bash",
    "ca-certificates",
    "curl",
    "jq",
    "procps",
    "containerd",
    "runc",
    "containernetworking-plugins",
    "socat",
    "busybox-static",
]

# containerd 1.6 has no `ctr info`, which kind asks for the snapshotter's sake.
CTR = '#!/bin/sh\n[ "$1" = info ] && exec /usr/bin/ctr version\nexec /usr/bin/ctr "$@"\n'

# What images/base/Dockerfile of kind does after installing packages.
SETUP = r"""
for program in containerd containerd-shim-runc-v2; do ln -sf /usr/bin/$program /usr/local/bin/$program; done
mkdir -p /opt/cni/bin /etc/cni/net.d /etc/kubernetes/manifests
cp /usr/lib/cni/{host-local,loopback,ptp,portmap} /opt/cni/bin/
rm -f /lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service \
  /lib/systemd/system/multi-user.target.wants/* \
  /etc/systemd/system/*.wants/* /lib/systemd/system/local-fs.target.wants/* \
  /lib/systemd/system/sockets.target.wants/*{udev,initctl}* /lib/systemd/system/basic.target.wants/*
echo "ReadKMsg=no" >> /etc/systemd/journald.conf
systemctl enable kubelet.service containerd.service undo-mount-hacks.service
systemctl mask systemd-binfmt.service
ctr oci spec \
  | jq '.hooks.createContainer[.hooks.createContainer| length] |= . + {"path": "/kind/bin/mount-product-files.sh"}' \
  | jq 'del(.process.rlimits)' > /etc/containerd/cri-base.json
rm -rf /var/cache/apt/* /var/lib/apt/lists/* /usr/share/{doc,man,locale} /var/log/*.log /usr/lib/cni \
  /usr/bin/containerd-{shim,shim-runc-v1,stress} /etc/resolv.conf /etc/hostname
"""


def make(root: Path, programs: Path) -> None:
    """Fill `root`. Needs root's rights. Raises BuildError or CommandFailed."""
    bootstrap(root, PACKAGES)
    _copy_base_files(root)
    config = root / "etc/containerd/config.toml"
    # A sandbox may not lower a score below its own; containerd then takes what it gets.
    config.write_text(
        config.read_text().replace("restrict_oom_score_adj = false", "restrict_oom_score_adj = true")
    )
    (root / "usr/local/bin/ctr").write_text(CTR)
    (root / "usr/local/bin/ctr").chmod(0o755)
    shutil.copy2(programs / "hyperkube", root / "usr/bin/hyperkube")
    change_root(root, SETUP)


def _copy_base_files(root: Path) -> None:
    base = _kind_module() / "images/base/files"
    for source, target in (("etc", "etc"), ("kind", "kind"), ("usr/local/bin", "usr/local/bin")):
        for path in sorted((base / source).rglob("*")):
            place = root / target / path.relative_to(base / source)
            if path.is_dir():
                place.mkdir(parents=True, exist_ok=True)
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, place)  # content only: the module cache is read-only
                place.chmod(0o755 if "bin" in place.relative_to(root).parts else 0o644)
    (root / "etc/systemd/system/containerd-fuse-overlayfs.service").unlink(missing_ok=True)


def _kind_module() -> Path:
    """Where the Go command keeps the kind module, whose version docker/offline/tools/kind pins."""
    tool = source_of("kind")
    go = find_go(required_version(SOURCE / "go.mod"), cache_directory())
    told = run(
        [go.command, "mod", "download", "-json", "sigs.k8s.io/kind"],
        cwd=tool,
        env=os.environ | go.environment,
    )
    directory = Path(str(json.loads(told).get("Dir", "")))
    if not directory.is_dir():
        raise BuildError("the module sigs.k8s.io/kind could not be downloaded: network?")
    return directory
