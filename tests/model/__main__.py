"""`python -m tests.model`: thousands of random stacks through the fleet model, on all cores; a report.

Exit status: 0 solver and model agree, 1 they do not.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from rich.progress import track

from tests.model.report import write
from tests.model.run import Outcome, run

README = Path(__file__).with_name("README.md")


def outcomes(runs: int, first: int) -> Iterator[Outcome]:
    """The outcome of each seed from `first` on; a seed repeats its stack and its schedules."""
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        yield from pool.map(run, range(first, first + runs), chunksize=25)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000, help="random stacks (10000)")
    parser.add_argument("--seed", type=int, default=0, help="of the first one (0)")
    parser.add_argument("--output", type=Path, default=Path("build/model"), help="where the report goes")
    parser.add_argument("--docs", action="store_true", help="write into tests/model/README.md instead")
    options = parser.parse_args()
    started = time.monotonic()
    seen = list(track(outcomes(options.runs, options.seed), "fleets", total=options.runs))
    page = README if options.docs else options.output / "model.md"
    page.parent.mkdir(parents=True, exist_ok=True)
    write(seen, time.monotonic() - started, page)
    wrong = [outcome for outcome in seen if not outcome.agrees]
    for outcome in wrong[:10]:
        print(f"seed {outcome.seed}: above {outcome.above}, loose {outcome.loose}, cut {outcome.cut_short}")
    print(f"{len(seen)} stacks, {len(wrong)} in which solver and model disagree; report: {page}")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
