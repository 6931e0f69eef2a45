"""The benchmark as a page with pictures: the ways side by side, and which goals were met."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles

import matplotlib as mpl
from matplotlib.figure import Figure

from infra.local.demo.picture import FAINT, INK
from tests.benchmarks.measure import (
    BURSTS,
    FIRST,
    LOAD_RTT,
    MODELS,
    POOLS,
    RTTS,
    WIDTHS,
    Results,
    middle,
)
from tests.benchmarks.ways import TITLES, WAYS

ABOUT = """\
# Side by side with what people do today

Written by `make bench`. Three ways to open MongoDB (through Beanie) and Redis in a job, taking turns in one run, so
that what else the machine does meets all of them:

- **lifespan**: this project's, `together(mongodb(MODELS), redis())`, pools of 2, gauges and all.
- **(b) tuned by hand**: `AsyncMongoClient(maxPoolSize=2, serverMonitoringMode="poll")`,
  `init_beanie(skip_indexes=True)`, a `BlockingConnectionPool` of 2, opened in the entrypoint.
- **(a) the forum's accepted answer**: default clients and `init_beanie` in the entrypoint, a shutdown callback.

The servers are SecantusDB 0.7 (a user, SCRAM-SHA-256) and Valkey (a password), without TLS, behind a proxy that
counts round trips and adds their time ([wire.py](wire.py)); jobs are processes forked from a server that has imported
everything, as LiveKit makes them ([job.py](job.py)), without a LiveKit server. {machine}; {remark}.
Medians, with the middle half of the values in brackets. All values: [results.json](results.json).

**How far to trust it**: round trips, connections and memory are counts, and hold. Times were taken on a machine whose
load average is named above: where it is more than the cores, p99, churn and single milliseconds are as much the other
work's as ours, and a goal met or not met there by less than a factor of two says nothing. Repeat it on a quiet machine.

```console
make bench ARGS="--repeats 12"
```
"""

FLOOR = """\
*Protocol's floor*: MongoDB connect, hello with SCRAM-SHA-256's first message, its second one, query: 4. PyMongo asks
for hello on a connection of its monitor's first, which makes 6. Redis connect, HELLO with the password, GET: 3. TLS 1.3
adds one for each connection (so 2 on MongoDB's way, 1 on Redis's). The lifespan opens both at once: its way is 6 long,
not 9.

Where the rest went: Beanie's `buildInfo` and `listCollections` (2, on every call; the version is in the handshake),
its `listIndexes` and `createIndexes` for each model (2 each; one command makes them once), redis-py's `CLIENT SETINFO`
(1 or 2), and a `ping` in each of our own opens. Documents are registered while the first packets are under way, and
Beanie's first query is warmed up before the call. What is left is the drivers' own work: CPU, in the right columns.
"""


RULE = """\
**The rule for the default pool**: as many connections as a job has operations at once; one more is never
used, and with one less an operation waits for another one's whole round trip. A call has one operation in its
way and at most one beside it (a transcript's line, a session's state), so 2. Whoever asks for ten at once in
mid-call sets `pool` to ten and sees in `make budget` what it costs. Where more is asked for than the pool
holds without a pause, both drivers let the same few go first: with 10 at once on a pool of 2 the slowest
waited for as long as the measurement took (0.7 s), in (b) as well.
"""


def write(results: Results, remark: str, directory: Path) -> None:
    """`README.md` and its pictures into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    _draw_first(results, directory / "first-document.png")
    _draw_pools(results, directory / "pools.png")
    machine = (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, Python {platform.python_version()}"
    )
    sections = [
        ABOUT.format(machine=machine, remark=remark),
        _section("Goals", _goals(results)),
        _section("Round trips to the first document and the first value", _round_trips(results)),
        FLOOR,
        _section("Milliseconds of the same", _milliseconds(results)),
        "![Milliseconds to the first document and value](first-document.png)\n",
        _section("One job: connections, memory, ends", _job(results)),
        _section("A scrape of a worker with 8 slots", _scrape(results)),
        _section("How large a pool", _pools(results)),
        "![p99 and operations a second by pool](pools.png)\n",
        RULE,
    ]
    (directory / "README.md").write_text("\n".join(sections), encoding="utf-8")


def _section(title: str, rows: Iterator[list[str]]) -> str:
    head, *body = rows
    lines = [f"## {title}", "", _row(head), "|" + "|".join(["---"] + ["--:"] * (len(head) - 1)) + "|"]
    return "\n".join([*lines, *map(_row, body), ""])


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _goals(results: Results) -> Iterator[list[str]]:
    def first(way: str, models: int = 5, rtt: float = LOAD_RTT) -> float:
        return middle(results.first[f"{way}/{models}/{rtt:g}"])

    def ratio(one: float, other: float, goal: float, *, at_least: bool = False) -> str:
        met = one / other >= goal if at_least else one / other <= goal
        return f"{one / other:.2f}{'' if met else ' **not met**'}"

    ours = _trips(results, "ours", 20)
    yield ["goal", "seen"]
    yield ["round trips = PyMongo's and Redis's floor + 0 (8 and 3)", f"{ours[0]} and {ours[1]}"]
    for rtt in RTTS:
        title = f"milliseconds <= 1.0 × (b), 5 models, {rtt * 1000:g} ms"
        yield [title, ratio(first("ours", rtt=rtt), first("tuned", rtt=rtt), 1.0)]
    yield ["… and well below (a), 20 models, 1 ms", f"{first('ours', 20) / first('forum', 20):.2f}"]
    most = max(max(results.connections[f"ours/{width}"]) for width in BURSTS)
    yield ["no connection above budget (3 + 2 a job)", f"at most {most}"]
    for kind in ("mongodb", "redis"):
        for width in (1, 2):
            one, other = (results.p99[f"{where}/{width}"] for where in (f"ours/{kind}/2", f"forum/{kind}/0"))
            yield [f"p99 at {width} at once <= 1.1 × (a), {kind}", ratio(one, other, 1.1)]
    one, other = middle(results.churn["ours"]), middle(results.churn["forum"])
    yield ["churn >= 1.0 × (a)", ratio(one, other, 1.0, at_least=True)]
    yield [
        "memory <= 1.05 × (a)",
        ratio(middle(results.memory["ours"]), middle(results.memory["forum"]), 1.05),
    ]


def _trips(results: Results, way: str, models: object) -> tuple[int, int]:
    values = results.round_trips[f"{way}/{models}"]
    return int(middle([one[0] for one in values])), int(middle([one[1] for one in values]))


def _round_trips(results: Results) -> Iterator[list[str]]:
    yield ["MongoDB + Redis", *(f"{models} {'model' if models == 1 else 'models'}" for models in MODELS)]
    yield ["protocol's floor", *["6 + 3"] * len(MODELS)]
    yield ["PyMongo's floor", *["8 + 3"] * len(MODELS)]
    yield ["PyMongo's floor, TLS 1.3", *["10 + 4"] * len(MODELS)]
    for way in WAYS:
        yield [TITLES[way], *("{} + {}".format(*_trips(results, way, models)) for models in MODELS)]
    for way in WAYS:
        trips = ("{} + {}".format(*_trips(results, way, f"{models}/tls")) for models in MODELS)
        yield [f"{TITLES[way]}, TLS 1.3", *trips]


def _milliseconds(results: Results) -> Iterator[list[str]]:
    yield [
        "models, added round-trip time",
        *(TITLES[way] for way in WAYS),
        "CPU of them: lifespan",
        "(b)",
        "(a)",
    ]
    for models, rtt in FIRST:
        where = [f"{way}/{models}/{rtt:g}" for way in WAYS]
        cpu = [f"{middle(results.first_cpu[one]) * 1000:.0f}" for one in where]
        yield [f"{models}, {rtt * 1000:g} ms", *(_spread(results.first[one], 1000) for one in where), *cpu]


def _spread(values: list[float], scale: float = 1.0, digits: int = 0) -> str:
    low, _, high = quantiles(values, n=4) if len(values) > 1 else (values[0],) * 3
    return f"{middle(values) * scale:.{digits}f} [{low * scale:.{digits}f} to {high * scale:.{digits}f}]"


def _job(results: Results) -> Iterator[list[str]]:
    yield ["", *(TITLES[way] for way in WAYS)]
    yield ["connections of a job, idle", *(str(max(results.connections[f"{way}/idle"])) for way in WAYS)]
    for burst in BURSTS:
        title = f"… after {burst} operations at once on each datastore"
        yield [title, *(str(max(results.connections[f"{way}/{burst}"])) for way in WAYS)]
    for burst in BURSTS:
        title = f"milliseconds of those {burst} + {burst}, pools filled on the way"
        yield [title, *(_spread(results.bursts[f"{way}/{burst}"], 1000) for way in WAYS)]
    yield ["jobs a second, 4 at once", *(_spread(results.churn[way], 1, 1) for way in WAYS)]
    yield ["memory of a job's own, MiB", *(_spread(results.memory[way], 2**-20, 1) for way in WAYS)]
    for end, what in (("end", "a normal end"), ("kill", "SIGKILL")):
        title = f"milliseconds until all connections are gone, {what}"
        yield [title, *(_spread(results.gone[f"{way}/{end}"], 1000) for way in WAYS)]


def _scrape(results: Results) -> Iterator[list[str]]:
    early, late = results.scrape["early"], results.scrape["late"]
    yield ["", "after 100 jobs", "after 10 000 jobs", "ratio (at most 1.2)"]
    for title, key in (("files", "files"), ("bytes", "bytes"), ("milliseconds, median of 40", "scrape_ms")):
        yield [title, f"{early[key]:.5g}", f"{late[key]:.5g}", f"{late[key] / early[key]:.2f}"]


def _pools(results: Results) -> Iterator[list[str]]:
    yield ["p99 in ms (operations a second)", *(f"{width} at once" for width in WIDTHS)]
    for kind in ("mongodb", "redis"):
        rows = [(f"lifespan, pool {pool}", f"ours/{kind}/{pool}") for pool in POOLS]
        rows += [("(b), pool 2", f"tuned/{kind}/2"), ("(a), pool 100", f"forum/{kind}/0")]
        for title, where in rows:
            cells = [
                f"{results.p99[f'{where}/{width}'] * 1000:.0f} ({results.rate[f'{where}/{width}']:.0f})"
                for width in WIDTHS
            ]
            yield [f"{kind}: {title}", *cells]


def _draw_first(results: Results, path: Path) -> None:
    with mpl.rc_context({"text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": FAINT}):
        figure = Figure(figsize=(9, 3.4), layout="constrained")
        axes = figure.subplots()
        for place, way in enumerate(WAYS):
            heights = [middle(results.first[f"{way}/{models}/{rtt:g}"]) * 1000 for models, rtt in FIRST]
            centres = [index + (place - 1) * 0.26 for index in range(len(FIRST))]
            axes.bar(centres, heights, width=0.24, label=TITLES[way])
        axes.set_xticks(range(len(FIRST)), [f"{models} models\n+{rtt * 1000:g} ms" for models, rtt in FIRST])
        axes.set_ylabel("ms to first document and value")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
        figure.savefig(path, dpi=120)


def _draw_pools(results: Results, path: Path) -> None:
    with mpl.rc_context({"text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": FAINT}):
        figure = Figure(figsize=(9, 3.4), layout="constrained")
        panels = figure.subplots(1, 2)
        for axes, kind in zip(panels, ("mongodb", "redis"), strict=True):
            for pool in POOLS:
                rates = [results.rate[f"ours/{kind}/{pool}/{width}"] for width in WIDTHS]
                axes.plot([str(width) for width in WIDTHS], rates, marker="o", label=f"pool {pool}")
            rates = [results.rate[f"forum/{kind}/0/{width}"] for width in WIDTHS]
            axes.plot([str(width) for width in WIDTHS], rates, "k--", label="(a), pool 100")
            axes.set_title(f"{kind}: operations a second", fontsize=10)
            axes.set_xlabel("operations at once")
            axes.spines[["top", "right"]].set_visible(False)
        panels[0].legend(frameon=False, fontsize=8)
        figure.savefig(path, dpi=120)
