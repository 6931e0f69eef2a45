"""`python -m infra.monitoring write | check`: dashboards and runbooks' figures, each from its one source.

`check` changes nothing; exit status 1 names the files that `write` would change.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from infra.monitoring.dashboards import DASHBOARDS
from infra.monitoring.dashboards.grafana import grafana
from infra.monitoring.dashboards.vmui import VMUI_DIRECTORY, vmui
from infra.monitoring.rules import CHART
from infra.monitoring.runbooks import pages


def generated() -> dict[Path, str]:
    """Every generated file with what it should hold."""
    files = pages()
    for number, dashboard in enumerate(DASHBOARDS, start=1):
        file = f"{dashboard.name}.json"
        files[CHART / "dashboards" / file] = json.dumps(grafana(dashboard), indent=2) + "\n"
        # The local UI orders its tabs by the files' names.
        files[VMUI_DIRECTORY / f"{number}-{file}"] = json.dumps(vmui(dashboard), indent=2) + "\n"
    return files


def main(argv: Sequence[str] | None = None) -> int:
    """0, or 1 when `check` found a file that is not what its source says."""
    parser = argparse.ArgumentParser(prog="python -m infra.monitoring", description=__doc__)
    parser.add_argument("command", choices=("write", "check"))
    command = parser.parse_args(argv).command
    stale = {
        path: text for path, text in generated().items() if not path.exists() or path.read_text() != text
    }
    if command == "check":
        for path in stale:
            print(
                f"{path.relative_to(CHART.parents[1])} is not what its source says: run `make docs`",
                file=sys.stderr,
            )
        return 1 if stale else 0
    for path, text in stale.items():
        path.write_text(text)
        print(path.relative_to(CHART.parents[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
