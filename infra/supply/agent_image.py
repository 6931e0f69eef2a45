"""The agent's image, built by docker/agent/Dockerfile wherever the cluster's other parts come from."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from infra.supply.cached import key_of
from infra.supply.engine import Engine
from infra.supply.images import AGENT
from infra.supply.places import ROOT, cache_directory

# What it is made of; its key is the tag.
CONTEXT = ("agent", "docker/agent", "pyproject.toml", "uv.lock")
AUTHORITIES = Path(os.environ.get("SSL_CERT_FILE") or "/etc/ssl/certs/ca-certificates.crt")
BUILD_SECONDS = 1800


def name_on(base: str) -> str:
    """Its name, on a base that these words say."""
    return f"{AGENT}:{key_of(*(ROOT / part for part in CONTEXT), base)}"


def build(engine: Engine, name: str, *arguments: str) -> None:
    """docker/agent/Dockerfile, in a context of its own that holds what it copies and this machine's authorities.

    The build reaches the package registries as this machine does; what it makes has no network but the cluster's.

    Args:
        arguments: further ones of `docker build`.
    """
    with tempfile.TemporaryDirectory(dir=cache_directory() / "kind") as directory:
        context = Path(directory)
        for part in CONTEXT:
            place = context / part
            place.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(ROOT / part, place)
        if AUTHORITIES.exists():
            shutil.copyfile(AUTHORITIES, context / "authorities.pem")
            arguments = (*arguments, "--build-arg", "CA_BUNDLE=authorities.pem")
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
