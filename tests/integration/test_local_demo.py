"""The demo itself, small: exit status 0 and a report in which every number is within its budget."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from infra.local.run import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def test_a_small_demo_holds_every_invariant() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "infra.local", "demo", "--calls", "6", "--slots", "2", "--workers", "1"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    found = re.search(r"build/(demo-[^/]+)/logs", done.stdout)
    assert found, done.stdout
    output = ROOT / "build" / found[1]
    report = json.loads((output / "report.json").read_text())
    outcomes = [call["outcome"] for call in report["calls"]]
    assert report["broken_invariants"] == []
    assert outcomes.count("killed on purpose") == 1
    assert outcomes.count("lost") == 0
    # Six calls, and the second try of the one that was killed.
    assert outcomes.count("answered") + outcomes.count("refused as busy") == 6
    assert report["fleet"]["peak_workers"] == 2
    assert report["rollover"]["jobs_at_sigterm"] >= 1
    assert (output / "report.png").stat().st_size > 20_000
