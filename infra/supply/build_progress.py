"""How far builds have come: a table on a terminal; elsewhere a line at the start, every 15 s, at the end."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from infra.supply.building import Build

LINE_EVERY_SECONDS = 15


class Progress:
    """A context manager: `show` again and again while the builds run, `done` once for each that is ready."""

    def __init__(self, builds: list[Build]) -> None:
        self._running = list(builds)
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._next_line = dict.fromkeys((build.name for build in builds), 0.0)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self) -> None:
        """Draw what is running now."""
        started = [build for build in self._running if build.started is not None]
        if self._console.is_terminal:
            self._live.update(_table(started), refresh=True)
            return
        for build in started:
            if time.monotonic() >= self._next_line[build.name]:
                self._next_line[build.name] = time.monotonic() + LINE_EVERY_SECONDS
                self._line(build, f"{_elapsed(build):4.0f} s  {build.step}")

    def done(self, build: Build) -> None:
        """Say that it is ready and how long that took."""
        self._running.remove(build)
        self._line(build, f"built in {_elapsed(build):.0f} s")

    def _line(self, build: Build, text: str) -> None:
        self._console.print(f"  {build.name:<17} {escape(text)}")


def _elapsed(build: Build) -> float:
    return time.monotonic() - (build.started or time.monotonic())


def _table(builds: list[Build]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(min_width=17)
    table.add_column(justify="right")
    table.add_column(no_wrap=True, overflow="ellipsis")
    for build in builds:
        table.add_row(f"  {build.name}", f"{_elapsed(build):.0f} s", escape(build.step))
    return table
