"""`python -m tests.charts.docs`: the charts' READMEs, by helm-docs from README.md.gotmpl and the values' comments."""

from __future__ import annotations

import subprocess
from pathlib import Path

from infra.supply.binaries import binary
from tests.charts.render import CHARTS


def write_readmes(folder: Path) -> None:
    """Write README.md of every chart under `folder`."""
    command = [str(binary("helm-docs")), "--chart-search-root", str(folder), "--skip-version-footer"]
    subprocess.run([*command, "--log-level", "error"], check=True)


if __name__ == "__main__":
    write_readmes(CHARTS)
