"""What the pods logged, kept when a scenario fails: in files, and what workers say about its calls in the report."""

from __future__ import annotations

import json
import re
from pathlib import Path

from infra.kind.cluster import Cluster
from infra.kind.installed import FLEET, NAMESPACE
from infra.supply.shell import CommandFailed

ROOM = re.compile(r"\bheld-[0-9a-f]+")


def keep(cluster: Cluster, directory: Path) -> list[Path]:
    """Write the log of every pod that is still there, a file each, and what the cluster noted; returns the files.

    What cannot be had is left out: the failure itself is the news.
    """
    directory.mkdir(parents=True, exist_ok=True)
    files = []
    where = ("--namespace", NAMESPACE)
    try:
        names = cluster.kubectl("get", "pods", *where, "--output=name").split()
    except CommandFailed:
        return []
    wanted: dict[str, tuple[str, ...]] = {
        name.partition("/")[2]: ("logs", name, "--all-containers", "--timestamps") for name in names
    }
    wanted["events"] = ("get", "events", "--sort-by=.lastTimestamp")
    wanted["pods"] = ("get", "pods", "--output=wide")
    for name, command in wanted.items():
        try:
            text = cluster.kubectl(*command, *where)
        except CommandFailed as error:
            text = str(error)
        files.append(directory / f"{name}.txt")
        files[-1].write_text(text, encoding="utf-8")
    return files


def about(failure: str, files: list[Path]) -> list[str]:
    """What workers logged about the rooms that the failure names."""
    rooms = set(ROOM.findall(failure))
    return [
        _short(file.stem, line)
        for file in files
        if file.stem.startswith(FLEET)
        for line in file.read_text(encoding="utf-8").splitlines()
        if rooms.intersection(ROOM.findall(line))
    ]


def _short(pod: str, line: str) -> str:
    at, _, text = line.partition(" ")
    if not text.startswith("{"):  # a crash is not logged as JSON
        return f"{pod} {line}"
    entry = json.loads(text)
    return f"{pod} {at} {entry['level']}: {entry['message']}"
