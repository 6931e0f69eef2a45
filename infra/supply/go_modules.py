"""What a program takes from a Go module that it pins, beside code: files in the module's directory."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from infra.supply.errors import BuildError
from infra.supply.go_toolchain import Go


def module_directory(go: Go, source: Path, module: str) -> Path:
    """Where a module lies that the go.mod in `source` pins, downloaded if it is missing. Raises BuildError."""
    answer = subprocess.run(
        [go.command, "mod", "download", "-json", module],
        cwd=source,
        env=go.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        found = json.loads(answer.stdout or "{}")
    except ValueError:
        found = {}
    if answer.returncode != 0 or "Dir" not in found:
        raise BuildError(f"{module} could not be downloaded: {found.get('Error') or answer.stderr.strip()}")
    return Path(found["Dir"])


def overlay(go: Go, source: Path, workspace: Path) -> list[str]:
    """The options by which `go build` sees files of modules in `source`, as its file `embed` says.

    A line of it is a module and a file's path there. So `go:embed` finds what is somebody else's and not kept here.
    Raises BuildError.
    """
    listed = source / "embed"
    if not listed.exists():
        return []
    replaced = {}
    for line in listed.read_text().splitlines():
        module, path = line.split()
        file = module_directory(go, source, module) / path
        if not file.exists():
            raise BuildError(f"{listed}: {module} holds no {path}")
        replaced[str(source / file.name)] = str(file)
    written = workspace / "overlay.json"
    written.write_text(json.dumps({"Replace": replaced}))
    return ["-overlay", str(written)]
