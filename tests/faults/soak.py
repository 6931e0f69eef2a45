"""`python -m tests.faults.soak`: thousands of short real jobs, a share of them killed, and nothing may be left of them.

Two workers of 8 slots on the local stack. Every few hundred jobs the load pauses until no job runs (a quiet point),
and kernel, gauges, slots, files, descriptors, processes and memory are looked at. Two of the jobs at any time have a
caller, who reloads or loses signalling in mid-call; no such call may end by it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import aiohttp
from rich.console import Console
from rich.status import Status

from infra.budget.solution import Solution
from infra.config import ConfigError
from infra.local import stack as stacks
from infra.local.__main__ import LOG_WIDTH, STACK_FILE, count, solved, until_signalled
from infra.local.errors import LocalError
from infra.local.run import Run
from infra.supply.errors import BuildError
from tests.faults import soak_report
from tests.faults.soak_callers import Callers
from tests.faults.soak_load import Load, Totals
from tests.faults.soak_quiet import Observer
from tests.faults.soak_verdict import Soak, broken

AGENT = Path("tests/faults/agents/soak_agent.py")
WORKERS, SLOTS = 2, 8
JOBS, MINUTES, QUIET_EVERY = 10_000, 25, 300
# Long enough for every slot to have been used, so that every file that will ever be there is.
WARM_UP = 100


def share(text: str) -> float:
    """An argparse type: `10%` as 0.1, from 0% to 50%."""
    digits = text.removesuffix("%")
    if not (digits.isascii() and digits.isdigit() and int(digits) <= 50):
        raise argparse.ArgumentTypeError(f"got {text!r}; accepted: a whole percentage from 0% to 50%")
    return int(digits) / 100


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    jobs = count("jobs", 1_000_000, least=WARM_UP)
    parser.add_argument("--jobs", type=jobs, default=JOBS, metavar="N", help=f"in all ({JOBS})")
    parser.add_argument(
        "--kill", type=share, default=share("10%"), metavar="P", help="killed, of them (10%%)"
    )
    parser.add_argument(
        "--minutes", type=count("minutes", 1440), default=MINUTES, metavar="N", help=f"at most ({MINUTES})"
    )
    parser.add_argument(
        "--quiet-every", type=jobs, default=QUIET_EVERY, metavar="N", help=f"jobs ({QUIET_EVERY})"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="instead of build/soak-<time>")
    parser.add_argument("--docs", type=Path, metavar="FILE", help="write the summary there as well")
    parser.add_argument("--remark", default="", help="said in the report: what else the machine was doing")
    return parser.parse_args(argv)


async def course(console: Console, run: Run, solution: Solution, given: argparse.Namespace) -> Soak:
    """Start the stack, put the load on it, look at every quiet point, drain the workers."""

    def say(what: str) -> None:
        console.print(what, highlight=False, soft_wrap=True)

    seed = int.from_bytes(os.urandom(4))
    say(
        f"soak: {given.jobs} jobs, {given.kill:.0%} killed, at most {given.minutes} min, seed {seed}; {run.output}"
    )
    load_seconds = 0.0
    async with stacks.running(run, solution, workers=WORKERS, say=say, entrypoint=AGENT) as stack:
        async with stack.line.api() as livekit, aiohttp.ClientSession() as session:
            load = Load(stack, session, livekit, kill_share=given.kill, random=Random(seed))
            callers = Callers(stack, load, livekit, Random(seed))
            observer = Observer(stack, load, session)
            deadline = time.monotonic() + 60 * given.minutes
            until, accepted = 0, 0
            say(soak_report.HEADINGS)
            say(soak_report.line(await observer.quiet()))
            while accepted >= until and until < given.jobs and time.monotonic() < deadline:
                until = min(given.jobs, until + given.quiet_every if until else WARM_UP)
                began = time.monotonic()
                with console.status(f"to {until} jobs") as status:

                    def tell(totals: Totals, status: Status = status, until: int = until) -> None:
                        status.update(
                            f"{totals.accepted} of {until}; {totals.killed} killed, {totals.failed} failed"
                        )

                    async with callers.calling():
                        accepted = await load.batch(until, deadline=deadline, tell=tell)
                load_seconds += time.monotonic() - began
                await load.forget_rooms()
                say(soak_report.line(await observer.quiet()))
            timed_out = time.monotonic() > deadline
            gauges = await load.gauges()
        await stack.stop_workers(within=60)
        return Soak(
            name=run.name,
            date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            machine=f"{os.cpu_count()} cores, {platform.system()} {platform.release()}",
            remark=given.remark,
            seed=seed,
            jobs_wanted=given.jobs,
            kill_share=given.kill,
            minutes=given.minutes,
            timed_out=timed_out,
            workers=WORKERS,
            slots=solution.fleet.slots,
            budget={
                name: sum(each.budget[name] for each in gauges.values())
                for name in (stacks.MONGODB, stacks.REDIS)
            },
            points=observer.points,
            calls_went_on=dict(callers.calls.went_on),
            calls_ended=callers.calls.ended,
            calls_never_heard=callers.calls.never_heard,
            load_seconds=round(load_seconds, 1),
            unanswered_scrapes=load.unanswered_scrapes,
            left=stack.kernel.sample().connections,
            exit_statuses=stack.exit_statuses,
            left_behind=stack.left_behind,
        )


async def soak(console: Console, solution: Solution, given: argparse.Namespace) -> int:
    """0: all invariants held; 1: the report names those that did not."""
    async with Run("soak", given.output) as run:
        seen = await course(console, run, solution, given)
    sentences = broken(seen)
    soak_report.write(seen, sentences, run.output, given.docs)
    console.print(soak_report.markdown(seen, sentences), highlight=False, markup=False, soft_wrap=True)
    return 1 if sentences else 0


def main(argv: Sequence[str] | None = None) -> int:
    """0: done; 1: an invariant was broken; 2: it could not start, with the reason; 128 + signal: it was stopped."""
    given = arguments(argv)
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, LOG_WIDTH)
    try:
        solution, _ = solved(STACK_FILE, WORKERS, SLOTS)
        stacks.build()
        return asyncio.run(until_signalled(soak(console, solution, given)))
    except (ConfigError, BuildError, LocalError) as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
