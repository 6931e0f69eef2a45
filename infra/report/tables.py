"""The solved budget for people: where every connection goes, as tables and bars. Draws what was solved."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from infra.budget.solution import Datastore, MongoDBServer, RedisServer, Row, Solution, grouped
from infra.budget.suggestions import Suggestion
from infra.config.plans import PLANS

_COLOURS = {
    "jobs": "cyan",
    "workers": "blue",
    "consumer": "magenta",
    "peers": "magenta",
    "provider": "yellow",
    "reserve": "green",
}
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def print_report(
    console: Console, source: str, solution: Solution, suggestions: Iterable[Suggestion], most: int | None
) -> None:
    """Prints the whole report; readable without colour and at 60 columns. `most` calls would fit; None: any."""
    _print_fleet(console, source, solution)
    for datastore in solution.datastores.values():
        _print_datastore(console, datastore)
    _print_rolling(console, solution)
    _print_times(console, solution)
    for warning in solution.warnings:
        console.print(f"[yellow]warning[/] {escape(warning)}")
    if solution.warnings:
        console.print()
    _print_verdict(console, solution, list(suggestions), most)


def heading(console: Console, text: str) -> None:
    """A section's first line."""
    console.print(Text(text, style="bold"))


def _plain_table() -> Table:
    return Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))


def _print_fleet(console: Console, source: str, solution: Solution) -> None:
    fleet = solution.fleet
    heading(console, f"{grouped(fleet.jobs)} calls at once")
    console.print(Text(f"  {source}, budget {solution.digest}", style="dim"))
    spare = {
        "fast": "a whole fleet may be draining for each rollout that is not over",
        "strict": "surge and failure spare, held by the pod quota",
    }[fleet.mode]
    table = _plain_table()
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    table.add_row(grouped(fleet.max_replicas), f"workers of {fleet.slots} slots serve them")
    table.add_row(f"+ {grouped(fleet.spare)}", f"spare ({fleet.mode} rolling: {spare})")
    table.add_row(f"= {grouped(fleet.workers_at_peak)}", "workers at the peak, which is also the pod quota")
    table.add_row(
        grouped(fleet.job_processes_per_worker),
        f"job processes a worker: {fleet.slots} running, {fleet.idle_processes} warm without a connection",
    )
    console.print(Padding(table, (0, 0, 1, 2), expand=False))


def _print_datastore(console: Console, datastore: Datastore) -> None:
    where = {
        "plan": f"{datastore.plan}, {grouped(datastore.limit)} a node",
        "limit": f"limit {grouped(datastore.limit)} a node",
        "derived": "a server of our own, its limit is the sum",
    }[datastore.limit_source]
    nodes = f", each of {datastore.nodes} nodes must fit all" if datastore.nodes > 1 else ""
    heading(console, f"{datastore.title}: {where}{nodes}")
    console.print(f"  a job holds {datastore.per_job} = {escape(datastore.per_job_reason)}", highlight=False)
    console.print(Padding(_waterfall(datastore, console.width), (0, 0, 0, 2), expand=False))
    console.print(Padding(_facts(datastore), (0, 0, 1, 2), expand=False))


def _waterfall(datastore: Datastore, width: int) -> Table:
    table = _plain_table()
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    table.add_column(justify="right", no_wrap=True)
    bar_width = 40 if width >= 110 else 24 if width >= 78 else 0
    if bar_width:
        table.add_column(no_wrap=True, width=bar_width)
    # A limit far above the sum would press all bars to the edge: then the bars show the sum alone.
    near = datastore.limit < 4 * datastore.total
    scale = max(datastore.total, datastore.limit if near else 0)

    def add(name: str, formula: str, number: str, bar: Text, style: str = "") -> None:
        cells = [Text(name, style), Text(formula, style), Text(number, style)]
        table.add_row(*cells, *([bar] if bar_width else []))

    for row in datastore.rows:
        add(row.name, row.formula, f"= {grouped(row.connections)}", _bar(row, scale, bar_width))
    style = "bold" if datastore.fits else "bold red"
    add("sum", "", grouped(datastore.total), Text(_blocks(datastore.total, scale, bar_width), style), style)
    if datastore.limit_source != "derived":
        limit = "░" * len(_blocks(datastore.limit, scale, bar_width)) if near else "far to the right"
        room = f"{grouped(datastore.head_room)} free" if datastore.fits else f"{_over(datastore)} too many"
        add("limit", room, grouped(datastore.limit), Text(limit, "dim"))
    return table


def _bar(row: Row, scale: int, width: int) -> Text:
    """A row's share, drawn where the rows above it ended; a hair when it is too small to see."""
    columns = row.start * width // scale
    length = _blocks(row.connections, scale, width) or _EIGHTHS[1]
    return Text(" " * min(columns, width - len(length)) + length, _COLOURS[row.kind])


def _blocks(value: int, scale: int, width: int) -> str:
    whole, eighth = divmod(value * width * 8 // scale, 8)
    return "█" * whole + (_EIGHTHS[eighth] if eighth else "")


def _facts(datastore: Datastore) -> Table:
    table = _plain_table()
    table.add_column(no_wrap=True, style="dim")
    table.add_column()
    own, granted = grouped(datastore.connections_per_worker), grouped(datastore.granted_per_worker)
    each = "" if datastore.nodes_per_client == 1 else f" to a node, {granted} to all"
    table.add_row("a worker", f"{own} connections{each} at most, its gauge's budget")
    for fit in datastore.smallest_plans:
        plan = f"{fit.plan} ({grouped(fit.limit)})" if fit.plan and fit.limit else "no plan"
        table.add_row(fit.family, f"smallest plan for {grouped(fit.total)}: {plan}")
    if datastore.server:
        limit, memory = _server(datastore.server)
        table.add_row("server", limit)
        table.add_row("", f"{memory}; {grouped(datastore.server.file_descriptors)} descriptors")
    if datastore.plan:
        family = PLANS[datastore.plan].family
        table.add_row("source", f"{family.source} (checked {family.checked})")
    alerts = datastore.alerts
    table.add_row(
        "alerts", f"look above {grouped(alerts.warning_above)}, act above {grouped(alerts.critical_above)}"
    )
    return table


def _server(server: MongoDBServer | RedisServer) -> tuple[str, str]:
    memory = f"memory {grouped(server.memory_mib)} MiB"
    if isinstance(server, MongoDBServer):
        limit = f"maxIncomingConnections {grouped(server.max_incoming_connections)}"
        return limit, f"{memory}, {grouped(server.cache_mib)} of them cache"
    return (
        f"maxclients {grouped(server.maxclients)}",
        f"{memory}, {grouped(server.max_memory_mib)} of them data",
    )


def _over(datastore: Datastore) -> str:
    return grouped(datastore.total - datastore.limit)


def duration(seconds: int) -> str:
    """Seconds as a person says them."""
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _print_rolling(console: Console, solution: Solution) -> None:
    heading(console, "Two ways to roll")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("")
    table.add_column("workers at peak", justify="right")
    for datastore in solution.datastores.values():
        table.add_column(datastore.title, justify="right")
    table.add_column("rollout at most", justify="right")
    table.add_column("")
    for option in solution.rolling_options:
        fits = "" if option.fits else "does not fit"
        table.add_row(
            f"{option.mode}, surge {option.surge}",
            grouped(option.workers_at_peak),
            *(grouped(total) for total in option.connections.values()),
            duration(option.rollout_seconds),
            ", ".join(part for part in ("chosen" if option.chosen else "", fits) if part),
        )
    console.print(Padding(table, (0, 0, 0, 2), expand=False))
    console.print(
        Padding(
            "strict: capacity may be below the promise while it lasts",
            (0, 0, 1, 2),
            style="dim",
            expand=False,
        )
    )


def _print_times(console: Console, solution: Solution) -> None:
    time = solution.time
    drain = (
        f"start {time.job_start_seconds} + open {time.open_timeout_seconds} + call {time.max_call_seconds} + "
        f"goodbye {time.goodbye_seconds} + end {time.job_end_seconds}"
    )
    heading(console, "Times")
    table = _plain_table()
    table.add_column(no_wrap=True, style="dim")
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    for name, seconds, reason in (
        (
            "drain",
            time.drain_timeout_seconds,
            drain,
        ),
        (
            "grace period",
            time.termination_grace_period_seconds,
            "of a pod: no call is killed within its time",
        ),
        (
            "rejoin",
            time.rejoin_seconds,
            f"a vanished caller's slot waits: as many slots as callers vanish in {time.rejoin_seconds} s",
        ),
        ("progress deadline", time.progress_deadline_seconds, "of the Deployment"),
        ("Pulumi's timeout", time.pulumi_timeout_seconds, "outlasts both, to report them"),
    ):
        table.add_row(name, f"{grouped(seconds)} s", reason)
    console.print(Padding(table, (0, 0, 1, 2), expand=False))


def _print_verdict(
    console: Console, solution: Solution, suggestions: list[Suggestion], most: int | None
) -> None:
    if solution.fits:
        up_to = "" if most is None else f" Up to {grouped(most)} calls at once would."
        console.print(Text("It fits.", style="bold green") + Text(up_to))
        return
    over = [
        f"{datastore.title} by {_over(datastore)}"
        for datastore in solution.datastores.values()
        if not datastore.fits
    ]
    console.print(Text(f"It does not fit: {', '.join(over)} connections too many.", style="bold red"))
    if not suggestions:
        console.print("No change of pools, monitoring, rolling, plan or number of jobs makes it fit.")
        return
    console.print("Any one of these would fit (each has been solved again):")
    for suggestion in suggestions:
        console.print(Padding(Text(f"- {suggestion.text}"), (0, 0, 0, 2), expand=False))
