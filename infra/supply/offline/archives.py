"""Container images written as files, without a container engine: layers as tar files, and the archive that
`docker load`, `ctr images import` and `kind build node-image` read."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MADE = 1_767_225_600  # 2026-01-01: the same content gives the same bytes
PATH_VARIABLE = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Layer:
    """A tar file and its digest."""

    path: Path
    digest: str


class LayerWriter:
    """Collects the files of a layer; `done` closes it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tar = tarfile.open(path, "w")  # noqa: SIM115 # closed by done()

    def directory(self, name: str, mode: int = 0o755) -> None:
        info = self._info(name, mode)
        info.type = tarfile.DIRTYPE
        self._tar.addfile(info)

    def link(self, name: str, target: str) -> None:
        info = self._info(name, 0o777)
        info.type, info.linkname = tarfile.SYMTYPE, target
        self._tar.addfile(info)

    def text(self, name: str, content: str, mode: int = 0o644) -> None:
        info = self._info(name, mode)
        data = content.encode()
        info.size = len(data)
        self._tar.addfile(info, io.BytesIO(data))

    def file(self, name: str, source: Path, mode: int = 0o755) -> None:
        info = self._info(name, mode)
        info.size = source.stat().st_size
        with source.open("rb") as file:
            self._tar.addfile(info, file)

    def done(self) -> Layer:
        self._tar.close()
        with self._path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Layer(self._path, digest)

    def _info(self, name: str, mode: int) -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        info.mode, info.mtime = mode, MADE
        return info


@dataclass(frozen=True)
class Image:
    """What an archive holds under these tags."""

    tags: Sequence[str]
    layers: Sequence[Layer]
    entrypoint: Sequence[str]
    user: str = ""

    @property
    def config(self) -> bytes:
        made = "2026-01-01T00:00:00Z"
        return json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "created": made,
                "config": {
                    "Env": [PATH_VARIABLE],
                    "Entrypoint": list(self.entrypoint),
                    "WorkingDir": "/",
                    "User": self.user,
                },
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.digest}" for layer in self.layers]},
                "history": [{"created": made, "created_by": "infra/kind"} for _ in self.layers],
            }
        ).encode()


def write(path: Path, images: Sequence[Image]) -> None:
    """Write an archive of these images."""
    with tarfile.open(path, "w") as tar:
        tags: dict[str, dict[str, str]] = {}
        for image in images:
            for tag in image.tags:
                name, version = tag.rsplit(":", 1)
                tags.setdefault(name, {})[version] = image.layers[-1].digest
        # Before manifest.json: of the two, kind reads tags from the one it meets first, and only manifest[0] of that.
        _text(tar, "repositories", json.dumps(tags).encode())
        manifest = []
        there: set[str] = set()
        for image in images:
            config = image.config
            name = f"{hashlib.sha256(config).hexdigest()}.json"
            if name not in there:
                _text(tar, name, config)
            for layer in image.layers:
                if layer.digest not in there:
                    tar.add(layer.path, f"{layer.digest}/layer.tar")
            there |= {name, *(layer.digest for layer in image.layers)}
            manifest.append(
                {
                    "Config": name,
                    "RepoTags": list(image.tags),
                    "Layers": [f"{layer.digest}/layer.tar" for layer in image.layers],
                }
            )
        _text(tar, "manifest.json", json.dumps(manifest).encode())


def _text(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = len(data), 0o644, MADE
    tar.addfile(info, io.BytesIO(data))
