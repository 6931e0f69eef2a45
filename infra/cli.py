"""`python -m infra.budget FILE [--json]`: solves a stack file; with `--from OLD` also the way there from another one;
with `--values DIR` also writes the charts' values.

Exit status: 0 it fits, 1 it does not, 2 the input cannot be used.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from infra.budget import solve
from infra.config import ConfigError, StackConfig, load_config
from infra.report import print_report
from infra.solution import Solution
from infra.suggestions import suggest
from infra.transition import plan_transition
from infra.transition_report import print_transition
from infra.values import write_values

FITS, DOES_NOT_FIT, BAD_INPUT = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    options = _parser().parse_args(arguments)
    _never_fail_on_a_character()
    try:
        config = load_config(options.file)
        old = load_config(options.old) if options.old else None
    except ConfigError as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    fits, show = _change(options, old, config) if old else _budget(options, config)
    try:
        show()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (head, a closed pager) has seen enough; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if options.values and not _written(solve(config), options.values):
        return BAD_INPUT
    return FITS if fits else DOES_NOT_FIT


def _budget(options: argparse.Namespace, config: StackConfig) -> tuple[bool, Callable[[], None]]:
    solution, suggestions = solve(config), suggest(config)

    def show() -> None:
        if options.json:
            _print_json(solution.as_dict() | {"suggestions": [asdict(one) for one in suggestions]})
        else:
            print_report(Console(highlight=False), str(options.file), solution, suggestions)

    return solution.fits, show


def _change(
    options: argparse.Namespace, old: StackConfig, new: StackConfig
) -> tuple[bool, Callable[[], None]]:
    transition = plan_transition(old, new)

    def show() -> None:
        if options.json:
            _print_json(transition.as_dict())
        else:
            print_transition(Console(highlight=False), str(options.old), str(options.file), transition)

    return transition.fits, show


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def _written(solution: Solution, directory: Path) -> bool:
    """Writes the charts' values, none for a budget that does not fit; False when the directory cannot be used."""
    if not solution.fits:
        print(f"{directory}: no values written, since the budget does not fit", file=sys.stderr)
        return True
    try:
        files = write_values(solution, directory)
    except OSError as error:
        print(f"{directory}: cannot be written: {error.strerror}; accepted: a directory", file=sys.stderr)
        return False
    print(f"written: {', '.join(map(str, files))}", file=sys.stderr)
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.budget",
        description="Where every database connection of a stack goes, and whether it fits.",
        epilog="Exit status: 0 it fits, 1 it does not, 2 the input cannot be used.",
    )
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="a stack file, such as infra/Pulumi.local.yaml"
    )
    parser.add_argument(
        "--from",
        dest="old",
        type=Path,
        metavar="OLD",
        help="the stack file that runs now: both fleets at once, and the steps from there",
    )
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
