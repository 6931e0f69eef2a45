"""One measurement of gauges_worker.py, in a process and directories of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from infra.local.run import ROOT

WARM_UP, SLOTS = 100, 8
SEED = 4630


def measured(directory: Path, jobs: int) -> Any:
    """What `gauges_worker.Seen` holds after so many jobs, as JSON; `early` is after `WARM_UP` of them."""
    for name in ("slots", "metrics"):
        (directory / name).mkdir()
    command = [sys.executable, "-m", "tests.faults.gauges_worker", str(WARM_UP), str(jobs), str(SEED)]
    environment = {
        "PATH": os.environ["PATH"],
        "AGENT_SLOTS": str(SLOTS),
        "AGENT_SLOT_DIRECTORY": str(directory / "slots"),
        "AGENT_SPOOL_DIRECTORY": str(directory / "spool"),
        "PROMETHEUS_MULTIPROC_DIR": str(directory / "metrics"),
    }
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
