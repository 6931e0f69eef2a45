"""`python -m infra.kind up | call | down | build | status`; OFFLINE=1 builds what cannot be pulled.

Exit status: 0, 1 when something failed (the message says what, and what to do), 2 for a command line that is none.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from infra.kind import cluster, dashboards, deploy, installed
from infra.kind.errors import KindError
from infra.local.__main__ import until_signalled
from infra.local.caller import Caller, Outcome
from infra.local.chat import chat
from infra.local.conversation import Line
from infra.local.errors import LocalError
from infra.supply import engine
from infra.supply.binaries import build_missing, unwind_on_signals
from infra.supply.choice import chosen
from infra.supply.errors import BuildError
from infra.supply.shell import CommandFailed

NEXT = """\
a call:      python -m infra.kind call
the cluster: export KUBECONFIG={kubeconfig}; kubectl -n {namespace} get pods
the stack:   its state, config and passphrase are in {state}
dashboards:  {dashboards}
make kind-down removes all of it"""
SUPPLY = chosen()


def up() -> None:
    """Everything, until a first call has been answered."""
    with phase("engine"):
        docker = SUPPLY.engine()
    with phase("images"):
        made = SUPPLY.images(docker)
    with phase("cluster"):
        there = cluster.up(docker, SUPPLY)
    with phase("load"):
        there.load(made.names)
    with phase("pulumi up"):
        stack = deploy.deploy(there, made, SUPPLY)
    with phase("dashboards"):
        opened = dashboards.install(there, made.tags)
    with phase("first call"):
        asyncio.run(first_call(installed.line(there, deploy.WORKER_SECRET)))
    print(stack.run("stack", "output", "budget_table").text)
    print(
        NEXT.format(
            namespace=installed.NAMESPACE,
            kubeconfig=there.kubeconfig,
            state=stack.directory,
            dashboards=opened,
        )
    )


def call() -> None:
    """Talk to the agent, in text."""
    there = _cluster()
    if there is None:
        raise KindError("no cluster: `make kind-up` makes one")
    line = installed.line(there, deploy.WORKER_SECRET)
    asyncio.run(until_signalled(chat(Console(), line, "the kind cluster")))


def down() -> None:
    """Leave nothing behind but caches."""
    docker = engine.running()
    others = cluster.down(docker) if docker else []
    deploy.forget()
    if not others:
        engine.stop()


def build() -> None:
    """All that takes long, without a cluster; what is cached is not built again. Prints the images' names."""
    build_missing(["kind", "helm"])
    docker = SUPPLY.engine()
    print(*SUPPLY.everything(docker), sep="\n")


def status() -> None:
    """What is there."""
    there = _cluster()
    pods = ("get", "pods", "--all-namespaces", "-o", "wide")
    print(there.kubectl(*pods) if there else "no cluster: `make kind-up` makes one")


def _cluster() -> cluster.Cluster | None:
    docker = engine.running()
    return cluster.Cluster(docker) if docker and cluster.exists(docker) else None


async def first_call(line: Line) -> None:
    """Place a call from this machine, outside the cluster. Raises KindError unless it is answered."""
    async with line.api() as livekit:
        caller = Caller(line, f"first-{time.time_ns():x}", ["Hello."], pause_seconds=0.2)
        result = await caller.call(livekit)
    if result.outcome is not Outcome.ANSWERED:
        raise KindError(
            f"the first call was {result.outcome}: {result.detail}\n"
            f"  the workers' logs: kubectl -n {installed.NAMESPACE} logs deployment/{installed.FLEET}"
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
    "call": call,
    "down": down,
    "build": build,
    "status": status,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m infra.kind", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    command = parser.parse_args().command
    unwind_on_signals()
    try:
        COMMANDS[command]()
    except (KindError, BuildError, CommandFailed, LocalError) as error:
        print(f"kind {command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; run it again to go on, or `make kind-down`", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
