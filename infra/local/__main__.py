"""`python -m infra.local demo | up | call`: the solved budget as processes on this machine."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from infra.budget import jobs_for, solve
from infra.budget.capacity import capacity
from infra.budget.solution import Solution
from infra.config import ConfigError, StackConfig, apply_overrides, load_config
from infra.handoff.series import budget_series
from infra.local import interfaces, open_files
from infra.local import stack as stacks
from infra.local.chat import chat
from infra.local.errors import LocalError
from infra.local.servers import further
from infra.local.state import find
from infra.local.up import up
from infra.supply.errors import BuildError

STACK_FILE = Path(__file__).resolve().parents[1] / "Pulumi.local.yaml"
CALLS = 24
# Of a datastore that DATASTORES adds to the stack file's: the worker lifespan opens none of them.
FURTHER = {"pool": 2, "worker_pool": 0, "reserve": 5}
# Of a log file or a pipe, which has no width of its own; rich would take 80 columns and break tables.
LOG_WIDTH = 120


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m infra.local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    sized = argparse.ArgumentParser(add_help=False)
    sized.add_argument(
        "--stack", type=Path, default=STACK_FILE, metavar="FILE", help="stack file (infra/Pulumi.local.yaml)"
    )
    sized.add_argument(
        "--workers", type=count("workers", 50), metavar="N", help="instead of the stack file's"
    )
    sized.add_argument("--slots", type=count("slots", 1000), metavar="N", help="jobs a worker runs at once")
    sized.add_argument(
        "--datastores",
        type=further_datastores,
        default=(),
        metavar="NAMES",
        help=f"mongodb,redis and any of {', '.join(further.NAMES)}",
    )
    commands.add_parser("up", parents=[sized], help="the whole stack, until Ctrl-C")
    demo = commands.add_parser("demo", parents=[sized], help="real calls, trouble, and a report")
    demo.add_argument(
        "--calls",
        type=count("calls", 10_000, least=2),
        default=CALLS,
        metavar="N",
        help=f"calls in all ({CALLS})",
    )
    call = commands.add_parser("call", help="talk to the agent of a running stack, in text")
    call.add_argument("--run", metavar="NAME", help="which stack, when several are up")
    return parser.parse_args(argv)


def count(what: str, most: int, least: int = 1) -> type[int]:
    """An argparse type: a whole number from `least` to `most`."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(
                f"got {text!r}; accepted: a whole number of {what} from {least} to {most}"
            )
        return int(text)

    return parse  # type: ignore[return-value]


def further_datastores(text: str) -> tuple[str, ...]:
    """An argparse type: the names beyond mongodb and redis, which the agent always opens."""
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in ("mongodb", "redis", *further.NAMES)]
    if unknown or not {"mongodb", "redis"} <= set(names):
        raise argparse.ArgumentTypeError(
            f"got {text!r}; accepted: mongodb,redis and any of {', '.join(further.NAMES)}, separated by commas"
        )
    return tuple(name for name in further.NAMES if name in names)


def configured(
    stack: Path, workers: int | None, slots: int | None, datastores: Sequence[str] = ()
) -> StackConfig:
    """This stack file with these sizes and further datastores. Raises ConfigError: the file or a size cannot be so."""
    config = load_config(stack)
    if workers or slots:
        before = solve(config).fleet
        slots = slots or before.slots
        jobs = jobs_for(workers or before.max_replicas, slots)
        config = apply_overrides(config, {"fleet.slots": slots, "fleet.jobs": jobs})
    for name in datastores:
        if name not in config.datastores:
            config = apply_overrides(config, {f"datastores.{name}": dict(FURTHER)})
    return config


def solved(
    stack: Path, workers: int | None, slots: int | None, datastores: Sequence[str] = ()
) -> tuple[Solution, int]:
    """The budget for this stack file, these sizes and these further datastores, and the number of workers to start.

    Raises:
        ConfigError: the file or a size cannot be so.
        LocalError: the budget does not fit.
    """
    solution = solve(configured(stack, workers, slots, datastores))
    if not solution.fits:
        raise LocalError(f"{stack} does not fit its limits; `make budget STACK={stack}` says what would")
    return solution, solution.fleet.max_replicas


async def until_signalled(work: Coroutine[Any, Any, int]) -> int:
    """Run `work`; the first Ctrl-C or SIGTERM cancels it, so that all it started is stopped. 128 + signal then."""
    received: list[int] = []
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()

    def stop(number: int) -> None:
        received.append(number)
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop, number)
    try:
        return await task
    except asyncio.CancelledError:
        return 128 + received[0] if received else 1


def main(argv: Sequence[str] | None = None) -> int:
    """0: done; 1: an invariant was broken; 2: it could not start, with the reason; 128 + signal: it was stopped."""
    given = arguments(argv)
    open_files.allow_many()
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, LOG_WIDTH)
    try:
        if given.command == "call":
            stack = find(given.run)
            return asyncio.run(until_signalled(chat(console, stack.line, stack.name)))
        solution, workers = solved(given.stack, given.workers, given.slots, given.datastores)
        interfaces.require_one()
        stacks.build()
        further.build(given.datastores)
        if given.command == "up":
            rooms = capacity(configured(given.stack, given.workers, given.slots, given.datastores))
            series = budget_series(solution, rooms)
            return asyncio.run(until_signalled(up(console, solution, series, workers=workers)))
        from infra.local.demo.command import demo  # noqa: PLC0415  # matplotlib takes a second to import

        return asyncio.run(until_signalled(demo(console, solution, calls=given.calls, workers=workers)))
    except (ConfigError, BuildError, LocalError) as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
