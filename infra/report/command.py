"""`python -m infra.budget FILE`: solves a stack file; `--jobs`, `--plan` and `--what-if` ask what if.

`--from OLD` solves the way there from another stack, too; `--values DIR` writes the charts' values.

Exit status: 0 it fits, 1 it does not, 2 the input cannot be used.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from infra.budget import solve
from infra.budget.capacity import capacity
from infra.budget.deployed import Deployed, deployed
from infra.budget.explore import curves, most_jobs
from infra.budget.suggestions import Changes, suggest
from infra.budget.transition import plan_transition
from infra.config import ConfigError, Problem, StackConfig, apply_overrides, load_config
from infra.handoff.values import read_block, write_values
from infra.report.comparison import print_what_if
from infra.report.options import asked
from infra.report.tables import print_report
from infra.report.transition import print_transition

FITS, DOES_NOT_FIT, BAD_INPUT = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    options = _parser().parse_args(arguments)
    _never_fail_on_a_character()
    try:
        config = load_config(options.file)
        overrides = asked(options.jobs, options.plan, options.what_if)
        wanted = apply_overrides(config, overrides, "what if") if overrides else config
        old = _old(options.old) if options.old else None
        if options.pictures:
            _draw(wanted, options.pictures)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    if old:
        fits, show = _change(options, old, wanted)
    else:
        fits, show = _budget(options, config, overrides, wanted)
    try:
        show()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (head, a closed pager) has seen enough; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if options.values and not _written(wanted, options.values):
        return BAD_INPUT
    return FITS if fits else DOES_NOT_FIT


def _budget(
    options: argparse.Namespace, config: StackConfig, overrides: Changes, wanted: StackConfig
) -> tuple[bool, Callable[[], None]]:
    solution, suggestions, most = solve(wanted), suggest(wanted), most_jobs(wanted)

    def show() -> None:
        if options.json:
            found = {"most_jobs": most, "suggestions": [asdict(one) for one in suggestions]}
            _print_json(solution.as_dict() | found)
            return
        console = Console(highlight=False)
        if overrides:
            print_what_if(console, overrides, (solve(config), most_jobs(config)), (solution, most))
        print_report(console, str(options.file), solution, suggestions, most)

    return solution.fits, show


def _old(path: Path) -> tuple[Deployed, StackConfig | None]:
    """What runs now: by the values that its chart was given, whose figures stand, or by a stack file, solved here."""
    text = path.read_text("utf-8", errors="replace") if path.is_file() else ""
    if re.search("^budget:", text, re.MULTILINE):
        return read_block(text, str(path)), None
    config = load_config(path)
    return deployed(solve(config)), config


def _change(
    options: argparse.Namespace, old: tuple[Deployed, StackConfig | None], new: StackConfig
) -> tuple[bool, Callable[[], None]]:
    budget, config = old
    transition = plan_transition([budget], new, config)

    def show() -> None:
        if options.json:
            _print_json(transition.as_dict())
        else:
            print_transition(Console(highlight=False), str(options.old), str(options.file), transition)

    return transition.fits, show


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def _written(config: StackConfig, directory: Path) -> bool:
    """Writes the charts' values, none for a budget that does not fit; False when the directory cannot be used."""
    solution = solve(config)
    if not solution.fits:
        print(f"{directory}: no values written, since the budget does not fit", file=sys.stderr)
        return True
    try:
        files = write_values(solution, directory, capacity(config))
    except OSError as error:
        print(f"{directory}: cannot be written: {error.strerror}; accepted: a directory", file=sys.stderr)
        return False
    print(f"written: {', '.join(map(str, files))}", file=sys.stderr)
    return True


def _draw(config: StackConfig, directory: Path) -> None:
    try:
        from infra.report.pictures import draw_jobs_by_plan, draw_waterfall  # noqa: PLC0415  # matplotlib is no part of `infra`
    except ModuleNotFoundError as error:
        text = f"{error.name} is not installed; accepted: an environment with the dependency group local"
        raise ConfigError([Problem("--pictures", "", text)]) from None
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError([Problem("--pictures", "", f"{directory}: {error.strerror}")]) from None
    draw_waterfall(solve(config), directory / "waterfall.png")
    family, by_plan = curves(config)
    fleet = config.fleet
    draw_jobs_by_plan(family.title, by_plan, fleet.jobs, fleet.slots, directory / "jobs-by-plan.png")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.budget",
        description="Where every database connection of a stack goes, and whether it fits.",
        epilog="Exit status: 0 it fits, 1 it does not, 2 the input cannot be used.",
    )
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="a stack file, such as infra/Pulumi.local.yaml"
    )
    parser.add_argument("--jobs", type=int, metavar="N", help="what if it were so many calls at once")
    parser.add_argument("--plan", action="append", default=[], metavar="NAME", help="what if on this plan")
    parser.add_argument(
        "--what-if",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="what if a key were so, such as mongodb.pool=3 (may be given again)",
    )
    parser.add_argument(
        "--from",
        dest="old",
        type=Path,
        metavar="OLD",
        help="the stack file that runs now, or the values that agent-worker was given: both fleets at once, and the "
        "steps from there",
    )
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="draw waterfall and calls by plan there")
    parser.add_argument("--json", action="store_true", help="the solution for programs")
    parser.add_argument(
        "--values",
        type=Path,
        metavar="DIR",
        help="if it fits, write the values of each chart to DIR/<chart>.yaml",
    )
    return parser


def _never_fail_on_a_character() -> None:
    """An ASCII-only terminal shows a question mark for a bar instead of a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
