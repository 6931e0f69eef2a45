"""`python -m infra.local demo`: run it, show the report, decide on the exit status."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from infra.budget.solution import Solution
from infra.local.demo import picture, tables
from infra.local.demo.invariants import broken as broken_invariants
from infra.local.demo.orchestration import Demo
from infra.local.demo.progress import progress
from infra.local.run import Run


async def demo(console: Console, solution: Solution, *, calls: int, workers: int) -> int:
    """0: all invariants held; 1: the report names those that did not.

    Raises:
        StartFailed: something did not come up.
    """

    def say(what: str) -> None:
        console.print(what, highlight=False, soft_wrap=True)

    async with Run("demo") as run:
        say(
            f"demo: {calls} calls, {workers} workers × {solution.fleet.slots} slots; logs in {run.output}/logs"
        )
        report = await Demo(run, solution, calls, workers, say, progress(console)).course()
    broken = broken_invariants(report)
    files: dict[str, Path] = {
        "report": run.output / "report.json",
        "picture": run.output / "report.png",
        "logs": run.output / "logs",
    }
    report.write(files["report"], broken)
    picture.draw(report, files["picture"])
    tables.show(console, report, broken, files)
    return 1 if broken else 0
