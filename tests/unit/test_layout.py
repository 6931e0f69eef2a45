"""Data flows one way: what the layout forbids to import, nobody imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("file", sorted((ROOT / "agent/runtime").rglob("*.py")), ids=lambda f: f.stem)
def test_the_runtime_knows_neither_the_users_files_nor_the_infrastructure(file: Path) -> None:
    forbidden = ("agent.worker", "agent.models", "infra")
    assert not [name for name in imports(file) if name.startswith(forbidden)]


def test_top_level_is_fixed() -> None:
    rooms = {"infra", "agent", "charts", "docker", "tests", "Makefile", "README.md"}
    project_files = {"CHANGELOG.md", "LICENSE", "UPGRADING.md", "pyproject.toml", "uv.lock"}
    made = {"build", "node_modules"}  # by running things; ignored by git
    assert {p.name for p in ROOT.iterdir() if not p.name.startswith(".")} <= rooms | project_files | made
