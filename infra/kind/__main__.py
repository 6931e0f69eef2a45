"""`python -m infra.kind up | down | images | status`; OFFLINE=1 builds what cannot be pulled.

Exit status: 0, 1 when something failed (the message says what, and what to do), 2 for a command line that is none.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from infra.kind import cluster, engine, images, install
from infra.kind.shell import KindError
from infra.local.caller import Caller, Outcome
from infra.local.conversation import Line
from infra.local.go_toolchain import BuildError

OFFLINE = os.environ.get("OFFLINE", "") not in ("", "0")


def up() -> None:
    """Everything, until a first call has been answered."""
    with phase("engine"):
        docker = engine.start(offline=OFFLINE)
    with phase("images"):
        made = images.build(docker, offline=OFFLINE)
    with phase("cluster"):
        there = cluster.up(docker, offline=OFFLINE)
    with phase("load"):
        there.load(made.names)
    with phase("install"):
        install.install(there, install.stack(made, offline=OFFLINE))
    with phase("first call"):
        line = install.line(there)
        asyncio.run(first_call(line))
    print(f"up: {line.url}, namespace {install.NAMESPACE}; export KUBECONFIG={there.kubeconfig}")


def down() -> None:
    """Leave nothing behind but caches."""
    if docker := engine.running():
        cluster.down(docker)
    engine.stop()


def status() -> None:
    """What is there."""
    docker = engine.running()
    if docker is None or not cluster.exists(docker):
        print("no cluster: `make kind-up` makes one")
        return
    print(cluster.Cluster(docker).kubectl("get", "pods", "--all-namespaces", "-o", "wide"))


async def first_call(line: Line) -> None:
    """Place a call from this machine, outside the cluster. Raises KindError unless it is answered."""
    async with line.api() as livekit:
        caller = Caller(line, f"first-{time.time_ns():x}", ["Hello."], pause_seconds=0.2)
        result = await caller.call(livekit)
    if result.outcome is not Outcome.ANSWERED:
        raise KindError(
            f"the first call was {result.outcome}: {result.detail}\n"
            f"  the workers' logs: kubectl -n {install.NAMESPACE} logs deployment/{install.FLEET}"
        )


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Says how long it took."""
    print(name, flush=True)
    began = time.monotonic()
    yield
    print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)


COMMANDS = {
    "up": up,
    "down": down,
    "images": lambda: print(*images.build(engine.start(offline=OFFLINE), offline=OFFLINE).names, sep="\n"),
    "status": status,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m infra.kind", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    command = parser.parse_args().command
    try:
        COMMANDS[command]()
    except (KindError, BuildError) as error:
        print(f"kind {command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; run it again to go on, or `make kind-down`", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
