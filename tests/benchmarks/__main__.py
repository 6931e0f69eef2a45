"""`python -m tests.benchmarks`: three ways side by side in one run, as a table, pictures and JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import time
from pathlib import Path

from tests.benchmarks.bench import servers
from tests.benchmarks.measure import everything, first_document_by_tls, scrape
from tests.benchmarks.report import write

HERE = Path(__file__).parent
OUTPUT = Path("build/bench")


async def measured(repeats: int, docs: Path | None) -> None:
    began, before = time.monotonic(), os.getloadavg()[0]
    shutil.rmtree(OUTPUT, ignore_errors=True)
    async with servers(OUTPUT) as bench:
        results = await everything(bench, repeats, say=print)
    async with servers(OUTPUT / "tls", tls=True) as bench:
        await first_document_by_tls(bench, results)
    gauges = OUTPUT / "gauges"
    gauges.mkdir()
    await scrape(gauges, results)
    remark = f"{repeats} repeats in {(time.monotonic() - began) / 60:.0f} minutes, load average {before:.0f}"
    for directory in filter(None, (OUTPUT, docs)):
        (directory / "results.json").write_text(
            json.dumps({"remark": remark} | vars(results), separators=(",", ":")) + "\n"
        )
        write(results, remark, directory)
        print(f"written: {directory / 'README.md'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--repeats", type=int, default=12, help="of each measurement (12)")
    parser.add_argument("--docs", action="store_true", help="write into tests/benchmarks as well")
    options = parser.parse_args()
    asyncio.run(measured(options.repeats, HERE if options.docs else None))
