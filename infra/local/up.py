"""`python -m infra.local up`: the whole stack until Ctrl-C, with a table of what it holds."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence

from rich.console import Console
from rich.live import Live

from infra.budget.solution import Solution
from infra.handoff.series import Series
from infra.local import stack as stacks
from infra.local import state
from infra.local.errors import LocalError
from infra.local.observed import Observed, observed
from infra.local.process import STOP_SECONDS
from infra.local.run import Run
from infra.local.stack import Stack
from infra.local.up_table import line, table
from infra.local.watch import Watch, watching

TERMINAL_SECONDS, LINES_SECONDS = 0.5, 5.0
# Models for a real voice pipeline (agent/worker.py) and a collector for its traces, if the developer's environment
# names some; the demo takes none.
PIPELINE = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "AGENT_STT",
    "AGENT_LLM",
    "AGENT_TTS",
    "LIVEKIT_INFERENCE_URL",
    "LIVEKIT_INFERENCE_API_KEY",
    "LIVEKIT_INFERENCE_API_SECRET",
)


async def up(console: Console, solution: Solution, series: Sequence[Series], *, workers: int) -> int:
    """Stay up until cancelled, with alerts and dashboards against `series`, the budget's.

    Raises:
        LocalError: something did not come up, or ended by itself later.
    """

    def say(what: str) -> None:
        console.print(what, highlight=False, soft_wrap=True, markup=False)

    pipeline = {name: os.environ[name] for name in PIPELINE if os.environ.get(name)}
    async with Run("up") as run:
        say(f"up: {workers} workers × {solution.fleet.slots} slots; logs in {run.output}/logs")
        async with (
            stacks.running(run, solution, workers=workers, say=say, pipeline=pipeline) as stack,
            observed(stack, series) as watched,
            watching(stack.workers) as watch,
        ):
            file = state.publish(run, stack.line)
            say(_addresses(stack, watched, str(file)))
            try:
                await _show(console, stack, watch)
            except asyncio.CancelledError:
                say(
                    f"stopping; calls in progress have {STOP_SECONDS:g} s to end, a second Ctrl-C ends them now"
                )
                raise
    raise AssertionError("unreachable: _show returns by an exception only")


def _addresses(stack: Stack, watched: Observed, file: str) -> str:
    rows = [
        ("LiveKit", f"{stack.livekit.url}  (key and secret, for a client of your own: {file})"),
        ("dashboards", stack.metrics.dashboards),
        ("metrics", stack.metrics.ui),
        ("alerts", f"{watched.alerts.ui}"),
        *(
            (name, f"{w.url}/ready  {w.url}/worker  {w.metrics_url}")
            for name, w in sorted(stack.workers.items())
        ),
        ("call", f"python -m infra.local call --run {stack.run.name}"),
    ]
    return "\n".join(["", *(f"  {what:<10} {where}" for what, where in rows), ""])


async def _show(console: Console, stack: Stack, watch: Watch) -> None:
    if not console.is_terminal:
        while True:
            _check(stack)
            console.print(
                f"{time.strftime('%H:%M:%S')}  {line(stack, watch)}", highlight=False, soft_wrap=True
            )
            await asyncio.sleep(LINES_SECONDS)
    with Live(table(stack, watch), console=console, auto_refresh=False) as live:
        while True:
            _check(stack)
            live.update(table(stack, watch), refresh=True)
            await asyncio.sleep(TERMINAL_SECONDS)


def _check(stack: Stack) -> None:
    """A stack that lost a process is not what was asked for: say so, and stop."""
    for process in stack.run.processes:
        if not process.alive:
            status = process.kill()
            raise LocalError(
                f"{process.name} ended by itself with status {status}; the end of {process.log}:\n"
                f"{process.last_lines()}"
            )
