"""The page's part that `make e2e-all` writes: which commit was seen, when, how long it took, and the table."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

from infra.supply.places import ROOT

BEGIN, END = "<!-- written by make e2e-all -->", "<!-- end -->"


def write(page: Path, table: str, *, passed: int, failed: int, seconds: float) -> None:
    """Replaces what stands between the page's two marks. Raises ValueError where it has none."""
    text = page.read_text(encoding="utf-8")
    whole = f"{passed} passed" + (f", **{failed} failed**" if failed else "")
    seen = f"Commit {commit()}, {time.strftime('%Y-%m-%d', time.gmtime())}: {whole} in {seconds / 60:.0f} minutes."
    written, times = re.subn(
        f"{BEGIN}.*?{END}",
        lambda _: f"{BEGIN}\n{seen}\n\n{table}\n{END}",
        text,
        flags=re.DOTALL,
    )
    if times != 1:
        raise ValueError(f"{page}: {times} places between {BEGIN} and {END}; accepted: one")
    page.write_text(written, encoding="utf-8")


def commit() -> str:
    """The checkout's, with `-dirty` where files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown (no git checkout)"
