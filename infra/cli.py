"""`python -m infra.budget FILE [--json]`: solves a stack file.

Exit status: 0 it fits, 1 it does not, 2 the input cannot be used.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from infra.budget import solve
from infra.config import ConfigError, load_config
from infra.report import print_report
from infra.suggestions import suggest

FITS, DOES_NOT_FIT, BAD_INPUT = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    options = _parser().parse_args(arguments)
    _never_fail_on_a_character()
    try:
        config = load_config(options.file)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    solution = solve(config)
    suggestions = suggest(config)
    try:
        if options.json:
            result = solution.as_dict() | {"suggestions": [asdict(suggestion) for suggestion in suggestions]}
            print(json.dumps(result, indent=2, ensure_ascii=False))
        else:
            print_report(Console(highlight=False), str(options.file), solution, suggestions)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (head, a closed pager) has seen enough; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FITS if solution.fits else DOES_NOT_FIT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.budget",
        description="Where every database connection of a stack goes, and whether it fits.",
        epilog="Exit status: 0 it fits, 1 it does not, 2 the input cannot be used.",
    )
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="a stack file, such as infra/Pulumi.local.yaml"
    )
    parser.add_argument("--json", action="store_true", help="the solution for programs")
    return parser


def _never_fail_on_a_character() -> None:
    """An ASCII-only terminal shows a question mark for a bar instead of a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
