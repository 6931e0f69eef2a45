"""Where a kind cluster's parts come from: chosen once, and said with what to do where they cannot be had."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

import pytest

from infra.supply import engine, registry
from infra.supply.choice import Supply, chosen
from infra.supply.engine import Engine
from infra.supply.errors import BuildError
from infra.supply.images import AGENT
from infra.supply.offline import dockerd, packages, server_images, supply
from infra.supply.offline.supply import Offline
from infra.supply.registry import Registry
from infra.supply.shell import CommandFailed, run


class Full(Engine):
    """It has every image, so none is made."""

    def has_image(self, name: str) -> bool:  # noqa: ARG002
        return True


class Empty(Engine):
    """It has none, and notes what it is told."""

    asked: ClassVar[list[tuple[str | Path, ...]]] = []

    def has_image(self, name: str) -> bool:  # noqa: ARG002
        return False

    def docker(self, *arguments: str | Path, stdin: bytes | None = None, within: float = 600) -> str:  # noqa: ARG002
        self.asked.append(arguments)
        return ""


FULL = Full({}, ours=False)


@pytest.mark.parametrize(
    ("variable", "kind"), [(None, Registry), ("", Registry), ("0", Registry), ("1", Offline)]
)
def test_the_variable_says_which(
    monkeypatch: pytest.MonkeyPatch, variable: str | None, kind: type[Supply]
) -> None:
    monkeypatch.delenv("OFFLINE", raising=False)
    if variable is not None:
        monkeypatch.setenv("OFFLINE", variable)
    assert isinstance(chosen(), kind)


def test_with_a_registry_the_agents_image_alone_is_built_and_charts_are_told_nothing() -> None:
    made = Registry().images(FULL)
    assert list(made.tags) == [AGENT]
    assert not made.values
    assert Registry().node_image(FULL) is None


def test_the_agents_image_is_built_where_nothing_is_cached_yet(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    empty = Empty({}, ours=False)
    (name,) = Registry().images(empty).names
    (command,) = empty.asked
    assert command[0] == "build"
    assert name in command


def test_without_one_charts_are_told_of_what_was_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supply, "need", lambda *_: None)
    made = Offline().images(FULL)
    tags = made.tags
    assert made.values == {
        "livekit": {"image": {"tag": tags[server_images.LIVEKIT]}},
        "redis": {"image": {"tag": tags[server_images.VALKEY]}},
        "mongodb": {"engine": "ferretdb", "ferretdb": {"image": {"tag": tags[server_images.FERRETDB]}}},
    }
    assert tags[AGENT] != Registry().images(FULL).tags[AGENT]  # another base is another image


@pytest.mark.parametrize("kind", [Registry, Offline])
def test_who_may_start_no_engine_is_told_how_to_have_one(
    monkeypatch: pytest.MonkeyPatch, kind: type[Supply]
) -> None:
    for module in (engine, registry, supply):
        monkeypatch.setattr(module, "running", lambda: None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(BuildError, match=r"(?s)no Docker Engine answers.*as root: OFFLINE=1 starts one"):
        kind().engine()


def test_an_engine_that_answers_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supply, "running", lambda: FULL)
    monkeypatch.setattr(dockerd, "start", lambda: pytest.fail("another is started"))
    assert Offline().engine() is FULL


def test_a_pulumi_that_is_not_installed_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match=r"(?s)pulumi: not found.*OFFLINE=1 builds"):
        Registry().pulumi(tmp_path)


def test_a_missing_package_is_named_where_nothing_may_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "which", lambda _: None)
    with pytest.raises(
        BuildError, match=r"needed here: debootstrap, docker\.io .*sudo apt-get install debootstrap"
    ):
        packages.need("debootstrap", "dockerd", "docker")


def test_a_command_that_fails_says_what_it_said() -> None:
    with pytest.raises(CommandFailed, match=r"sh -c .*: exit status 3\n  a reason"):
        run(["sh", "-c", "echo a reason >&2; exit 3"])
    with pytest.raises(CommandFailed, match="no-such-program: not found"):
        run(["no-such-program"])
