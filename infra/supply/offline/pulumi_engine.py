"""The Pulumi engine that this project builds where no release of it can be had: a directory to put first on PATH.

`python -m infra.supply.offline.pulumi_engine` prints it. It holds `pulumi`, the Kubernetes plugin, the Python language
host, which is older than the engine, and what makes up for its age: the script with which it starts a program (from the
engine's own module), a `python` that it asks for packages, and a runtime named `venv` for policy packs, which it cannot
start.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from infra.supply.binaries import build_missing
from infra.supply.building import go_needed, source_of
from infra.supply.errors import BuildError
from infra.supply.go_modules import module_directory
from infra.supply.go_toolchain import find_go
from infra.supply.places import cache_directory

PROGRAMS = ("pulumi", "pulumi-language-python", "pulumi-resource-kubernetes")
SDK = "github.com/pulumi/pulumi/sdk/v3"
STARTER = "pulumi-language-python-exec"
PACK_STARTER = "pulumi-analyzer-policy-python"
PACK_RUNTIME = "venv"

# The host asks for a list of packages to learn which plugins to fetch; uv makes environments without pip, and where
# this engine is needed nothing is fetched.
PYTHON = """#!/bin/sh
[ "$2" = pip ] && { echo '[]'; exit 0; }
exec "${AGENT_DATASTORES_PYTHON:-python3}" "$@"
"""


def engine_directory() -> Path:
    """Builds what is missing, for minutes when nothing is cached. Raises BuildError."""
    built = build_missing(PROGRAMS)
    # Named by both builds' content: another pin is another directory.
    made = hashlib.sha256(PYTHON.encode()).hexdigest()[:8]
    name = "-".join(["pulumi", made, *(path.parent.name.rpartition("-")[2] for path in built.values())])
    directory = cache_directory() / name
    if directory.exists():
        return directory
    workspace = Path(tempfile.mkdtemp(dir=cache_directory(), prefix=f".{name}."))
    try:
        for program, path in built.items():
            os.link(path, workspace / program)
        shutil.copy(_sdk(PROGRAMS[0]) / "python" / "cmd" / STARTER, workspace / STARTER)
        pack_starter = f"pulumi-analyzer-policy-{PACK_RUNTIME}"
        shutil.copy(_sdk(PROGRAMS[1]) / "python" / "dist" / PACK_STARTER, workspace / pack_starter)
        (workspace / "python").write_text(PYTHON)
        for file in workspace.iterdir():
            file.chmod(0o755)
        workspace.chmod(0o755)
        workspace.rename(directory)
    except OSError as error:
        if not directory.exists():  # otherwise another run was faster, with the same content
            raise BuildError(f"cannot put the Pulumi engine into {directory}: {error}") from error
    finally:
        shutil.rmtree(workspace, ignore_errors=True)
    return directory


def environment(directory: Path, python: Path) -> dict[str, str]:
    """What a `pulumi` of this directory needs in its environment to run programs by that Python."""
    return {
        "PATH": os.pathsep.join([str(directory), os.environ.get("PATH", os.defpath)]),
        "PULUMI_PYTHON_CMD": str(directory / "python"),
        "AGENT_DATASTORES_PYTHON": str(python),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }


def policy_pack(source: Path, virtualenv: Path, destination: Path) -> Path:
    """The pack of a folder, for this engine: the same program under the runtime that it can start."""
    destination.mkdir(parents=True, exist_ok=True)
    runtime = {"name": PACK_RUNTIME, "options": {"virtualenv": str(virtualenv)}}
    manifest = {"description": "see infra/policy", "version": "0.1.0", "runtime": runtime}
    (destination / "PulumiPolicy.yaml").write_text(json.dumps(manifest))
    program = destination / "__main__.py"
    program.unlink(missing_ok=True)
    program.symlink_to(source.resolve() / "__main__.py")
    return destination


def _sdk(program: str) -> Path:
    """The sdk module that a program is pinned with."""
    go = find_go(go_needed([program]), cache_directory())
    return module_directory(go, source_of(program), SDK)


if __name__ == "__main__":
    try:
        print(engine_directory())
    except BuildError as error:
        print(f"not built: {error}", file=sys.stderr)
        sys.exit(1)
