"""The fleet's pods, and what is asked from inside one of them."""

from __future__ import annotations

from typing import Any

from infra.kind.cluster import Cluster
from infra.kind.installed import FLEET, NAMESPACE

# Ends the process of one call, and prints how many it ended: of those that LiveKit's fork server made, the first that
# is connected to MongoDB.
KILL_A_JOB = """
import os, signal, psutil
jobs = [process for process in psutil.process_iter() if "forkserver" in " ".join(process.cmdline())
        and any(one.raddr and one.raddr.port == 27017 for one in process.net_connections("tcp"))][:1]
for job in jobs:
    os.kill(job.pid, signal.SIGKILL)
print(len(jobs))
"""

WORKERS = "app.kubernetes.io/name=agent-worker,app.kubernetes.io/component=worker"


def workers(cluster: Cluster) -> list[dict[str, Any]]:
    """Every worker's pod, those that drain included."""
    found: list[dict[str, Any]] = cluster.get("pods", "--namespace", NAMESPACE, "--selector", WORKERS)[
        "items"
    ]
    return found


def named(cluster: Cluster, name: str) -> dict[str, Any]:
    return cluster.get("--namespace", NAMESPACE, f"pod/{name}")


def restarts(pod: dict[str, Any]) -> int:
    """Of its one container."""
    return int(pod["status"]["containerStatuses"][0]["restartCount"])


def ready(cluster: Cluster) -> list[dict[str, Any]]:
    """Those that take calls."""
    return [pod for pod in workers(cluster) if not deleted(pod) and is_ready(pod)]


def deleted(pod: dict[str, Any]) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def ask(cluster: Cluster, program: str, **given: object) -> str:
    """What this Python program prints in a worker's pod; see `ask_in`."""
    return ask_in(cluster, f"deployment/{FLEET}", program, **given)


def ask_in(cluster: Cluster, pod: str, program: str, **given: object) -> str:
    """The same in this pod; `given` reaches the program as a dictionary of that name, through standard input, so that a
    password stands in no argument."""
    text = f"given = {given!r}\n{program}"
    inside = ("exec", "--stdin", pod, "--", "python", "-")
    return cluster.kubectl("-n", NAMESPACE, *inside, stdin=text)


def kill_a_job(cluster: Cluster) -> None:
    """SIGKILL of the process of one call, on whichever worker there is one."""
    for pod in ready(cluster):
        if ask_in(cluster, pod["metadata"]["name"], KILL_A_JOB).strip() == "1":
            return
    raise AssertionError("no worker has a call")
