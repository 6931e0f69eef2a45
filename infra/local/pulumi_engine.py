"""The Pulumi engine that this project builds where no release of it can be had: a directory to put first on PATH.

`python -m infra.local.pulumi_engine` prints it. It holds `pulumi` and `pulumi-language-python`, and beside the
latter the script with which it starts a Python program; that script lies in the engine's own Go module.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from infra.local.binaries import build_missing, cache_directory
from infra.local.building import go_needed, source_of
from infra.local.go_toolchain import BuildError, find_go

PROGRAMS = ("pulumi", "pulumi-language-python")
SDK = "github.com/pulumi/pulumi/sdk/v3"
STARTER = "pulumi-language-python-exec"


def engine_directory() -> Path:
    """Builds what is missing, for minutes when nothing is cached. Raises BuildError."""
    built = build_missing(PROGRAMS)
    # Named by both builds' content: another pin is another directory.
    name = "-".join(["pulumi", *(path.parent.name.rpartition("-")[2] for path in built.values())])
    directory = cache_directory() / name
    if directory.exists():
        return directory
    workspace = Path(tempfile.mkdtemp(dir=cache_directory(), prefix=f".{name}."))
    try:
        for program, path in built.items():
            os.link(path, workspace / program)
        shutil.copy(_sdk() / "python" / "cmd" / STARTER, workspace / STARTER)
        (workspace / STARTER).chmod(0o755)
        workspace.chmod(0o755)
        workspace.rename(directory)
    except OSError as error:
        if not directory.exists():  # otherwise another run was faster, with the same content
            raise BuildError(f"cannot put the Pulumi engine into {directory}: {error}") from error
    finally:
        shutil.rmtree(workspace, ignore_errors=True)
    return directory


def _sdk() -> Path:
    go = find_go(go_needed([PROGRAMS[0]]), cache_directory())
    answer = subprocess.run(
        [go.command, "mod", "download", "-json", SDK],
        cwd=source_of(PROGRAMS[0]),
        env=go.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    module = json.loads(answer.stdout or "{}")
    if answer.returncode != 0 or "Dir" not in module:
        raise BuildError(f"{SDK} could not be downloaded: {module.get('Error') or answer.stderr.strip()}")
    return Path(module["Dir"])


if __name__ == "__main__":
    try:
        print(engine_directory())
    except BuildError as error:
        print(f"not built: {error}", file=sys.stderr)
        sys.exit(1)
