"""The kind node image, built without a container registry, under a tag that names its content.

`kind build node-image --type file` takes a Kubernetes release as a file. Every image inside counts as built, so nothing
is pulled; which archive holds which image does not matter to it.
"""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
import tempfile
from pathlib import Path

from infra.supply.binaries import binary
from infra.supply.cached import key_of
from infra.supply.engine import Engine
from infra.supply.offline import node_rootfs
from infra.supply.offline.archives import Image, Layer, LayerWriter, write
from infra.supply.offline.node_programs import SOURCE, programs
from infra.supply.offline.packages import need
from infra.supply.offline.tool_layers import binaries_layer, iptables_layer, shell_layer
from infra.supply.places import cache_directory
from infra.supply.shell import run

KUBERNETES = "v1.34.4"
REGISTRY = "registry.k8s.io"
HERE = Path(__file__).parent
# What decides the image's content beside docker/offline/kind.
RECIPE = ("archives.py", "node_image.py", "node_rootfs.py", "rootfs.py", "tool_layers.py")
CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")

DOCKERFILE = """\
FROM {base}
ENV container=docker PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
STOPSIGNAL SIGRTMIN+3
ENTRYPOINT ["/usr/local/bin/entrypoint","/sbin/init"]
"""


def tag() -> str:
    """The tag of the image that this checkout makes."""
    return f"localhost/agent-kind-node:{key_of(SOURCE, *(HERE / name for name in RECIPE))}"


def node_image(engine: Engine) -> str:
    """The tag of the node image in this engine, built where it is missing (about 2 minutes after `programs`).

    Needs root (debootstrap). Raises BuildError or CommandFailed when a step fails.
    """
    name = tag()
    if engine.has_image(name):
        return name
    need("debootstrap")
    made = programs()
    workspace = Path(tempfile.mkdtemp(dir=cache_directory() / "kind", prefix=".node."))
    try:
        root = workspace / "root"
        print("  node image: Debian and containerd", flush=True)
        node_rootfs.make(root, made)
        print("  node image: Kubernetes' images", flush=True)
        _import_base(engine, root, name)
        release = _release(workspace, root, made)
        run(
            [
                binary("kind"),
                "build",
                "node-image",
                "--type=file",
                f"--base-image={name}-base",
                f"--image={name}",
                release,
            ],
            env=engine.environment,
            within=900,
        )
        engine.docker("image", "rm", "--no-prune", f"{name}-base", f"{name}-raw")
    finally:
        shutil.rmtree(workspace, ignore_errors=True)
    return name


def _import_base(engine: Engine, root: Path, name: str) -> None:
    archive = root.parent / "root.tar"
    run(["tar", "--create", "--numeric-owner", "--file", archive, "--directory", root, "."])
    engine.docker("import", archive, f"{name}-raw")
    archive.unlink()
    recipe = DOCKERFILE.format(base=f"{name}-raw").encode()
    engine.docker("build", "--quiet", "--tag", f"{name}-base", "-", stdin=recipe)


def _release(workspace: Path, root: Path, made: Path) -> Path:
    """The Kubernetes release as kind reads it: a version, three programs and four archives of images."""
    archives = {name: workspace / f"{name}.tar" for name in (*CONTROL_PLANE, "kube-proxy")}
    images = _images(workspace, root, made)
    # The same layers stand in several images: all of those are in one archive, and hold them once.
    write(archives["kube-proxy"], images[3:])
    for name, image in zip(CONTROL_PLANE, images[:3], strict=True):
        write(archives[name], [image])
    release = workspace / "kube.tar.gz"
    with (
        release.open("wb") as file,
        gzip.GzipFile(fileobj=file, mode="wb", compresslevel=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w|") as tar,
    ):
        _add(tar, "version", KUBERNETES.encode(), 0o644)
        for program in ("kubeadm", "kubelet", "kubectl"):
            script = f'#!/bin/bash\nexec -a {program} /usr/bin/hyperkube "$@"\n'
            _add(tar, f"server/bin/{program}", script.encode(), 0o755)
        for name, archive in archives.items():
            tar.add(archive, f"kubernetes/server/bin/{name}.tar")
    return release


def _add(tar: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    info = tarfile.TarInfo(f"kubernetes/{name}")
    info.size, info.mode = len(data), mode
    tar.addfile(info, io.BytesIO(data))


def _images(workspace: Path, root: Path, made: Path) -> list[Image]:
    """Every image of a fresh kind cluster, under the tags that kubeadm and kind v0.30 ask for."""

    def one(name: str, place: str) -> Layer:
        return binaries_layer(workspace / f"{name}.layer", root, {place: made / name})

    shell = shell_layer(workspace / "shell.layer", root)
    iptables = iptables_layer(workspace / "iptables.layer", root)
    base = binaries_layer(workspace / "base.layer", root, {})
    kubernetes = LayerWriter(workspace / "kubernetes.layer")
    kubernetes.file("usr/local/bin/hyperkube", made / "hyperkube")
    for name in (*CONTROL_PLANE, "kube-proxy"):
        kubernetes.link(f"usr/local/bin/{name}", "hyperkube")
    hyperkube = kubernetes.done()
    network = LayerWriter(workspace / "kindnetd.layer")
    network.file("usr/bin/kindnetd", made / "kindnetd")
    provisioner = "local-path-provisioner"
    return [
        Image([f"{REGISTRY}/pause:3.10", f"{REGISTRY}/pause:3.10.1"], [one("pause", "pause")], ["/pause"]),
        Image(["docker.io/kindest/local-path-helper:v20241212-8ac705d0"], [shell], ["/bin/sh"]),
        Image([f"{REGISTRY}/etcd:3.6.5-0"], [one("etcd", "usr/local/bin/etcd")], ["/usr/local/bin/etcd"]),
        *(
            Image([f"{REGISTRY}/{name}:{KUBERNETES}"], [base, hyperkube], [f"/usr/local/bin/{name}"])
            for name in CONTROL_PLANE
        ),
        Image([f"{REGISTRY}/kube-proxy:{KUBERNETES}"], [iptables, hyperkube], ["/usr/local/bin/kube-proxy"]),
        Image([f"{REGISTRY}/coredns/coredns:v1.12.1"], [one("coredns", "coredns")], ["/coredns"]),
        Image(
            ["docker.io/kindest/kindnetd:v20250512-df8de77b"],
            [iptables, network.done()],
            ["/usr/bin/kindnetd"],
        ),
        Image(
            [f"docker.io/kindest/{provisioner}:v20250214-acbabc1a"],
            [one(provisioner, f"usr/local/bin/{provisioner}")],
            [f"/usr/local/bin/{provisioner}"],
        ),
    ]
