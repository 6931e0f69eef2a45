"""Every number in what the datastores' charts render is a figure of the budget, what a key of the values says, or a
constant that is listed here with its reason. LiveKit's chart is of no budget, and not here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import asdict
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.charts.datastores.scenarios import ALL, Scenario, merged
from tests.charts.render import CHARTS, Object

SIZED = [one for one in ALL if one.chart in ("mongodb", "redis") and one.engine != "external"]

# Where a figure stands (end of its path) and which figure of the server it is.
FIGURES = {
    "mongod.conf.net.maxIncomingConnections": "max_incoming_connections",
    "mongod.conf.storage.wiredTiger.engineConfig.cacheSizeGB": "cache_gib",
    "configuration.net.maxIncomingConnections": "max_incoming_connections",
    "configuration.storage.wiredTiger.engineConfig.configString": "cache_mib",
    "start.sh wanted": "file_descriptors",
    "[rs0].resources.requests.memory": "memory_mib",
    "[rs0].resources.limits.memory": "memory_mib",
    ".conf.maxclients": "maxclients",
    ".conf.maxmemory": "max_memory_mib",
    **{
        f"containers[{name}].resources.{part}.memory": "memory_mib"
        for name in ("mongod", "ferretdb")
        for part in ("requests", "limits")
    },
    **{
        f"{place}.resources.{part}.memory": "memory_saving_mib"
        for place in ("containers[valkey]", "kubernetesConfig")
        for part in ("requests", "limits")
    },
}
# Nodes: of the replica set, and of the Sentinels.
NODES = {"PerconaServerMongoDB.spec.replsets[rs0].size": "mongodb", "sentinel.size": "redis_sentinel"}

# What the values say, by the end of the path.
SETTINGS = {
    ".resources.requests.cpu": (
        "server.cpu",
        "exporter.resources.requests.cpu",
        "backup.resources.requests.cpu",
    ),
    **{
        f"{place}.resources.{part}": (f"{key}.resources.{part}",)
        for place, key in (("[exporter]", "exporter"), ("redisExporter", "exporter"), ("[tools]", "backup"))
        for part in ("requests.memory", "limits.memory")
    },
    ".requests.storage": ("persistence.size", "backup.volume.size"),
    ".terminationGracePeriodSeconds": ("server.terminationGracePeriodSeconds",),
    ".activeDeadlineSeconds": ("backup.deadlineSeconds",),
    ".retention.count": ("backup.keep",),
    "[net.ipv4.tcp_keepalive_time].value": ("tcpKeepalive.idleSeconds",),
    "[net.ipv4.tcp_keepalive_intvl].value": ("tcpKeepalive.intervalSeconds",),
    "[net.ipv4.tcp_keepalive_probes].value": ("tcpKeepalive.probes",),
    ".ingressConnectionEstablishmentRatePerSec": ("rateLimiter.ratePerSecond",),
    ".ingressConnectionEstablishmentBurstCapacitySecs": ("rateLimiter.burstSeconds",),
    ".ingressConnectionEstablishmentMaxQueueDepth": ("rateLimiter.maxQueueDepth",),
    ".conf.timeout": ("server.idleTimeoutSeconds",),
    ".conf.tcp-keepalive": ("server.keepaliveSeconds",),
    # Paid for as redis.consumers.replicas, or refused (test_guards.py).
    "RedisReplication.spec.clusterSize": ("operator.nodes",),
    "[exporter].securityContext.runAsUser": ("exporter.runAsUser",),
    "[exporter].securityContext.runAsGroup": ("exporter.runAsUser",),
    **{
        f"spec.securityContext.{name}": ("runAsUser", "ferretdb.runAsUser")
        for name in ("runAsUser", "runAsGroup", "fsGroup")
    },
}

# Numbers that no budget decides: (end of the path, values) and why.
CONSTANTS = {
    "StatefulSet.spec.replicas": ({"1"}, "one member; mongodb.nodes other than 1 is refused"),
    **{
        end: ({"6379", "26379", "27017", "53", "9121", "9216"}, "the servers' own ports")
        for end in (".port", ".containerPort", ".tls-port")
    },
    ".valkey.conf.port": ({"0", "6379"}, "closed where TLS is"),
    "startupProbe.periodSeconds": ({"2"}, "how often the kubelet looks"),
    "startupProbe.failureThreshold": ({"150", "300"}, "recovery after a crash"),
    "readinessProbe.periodSeconds": ({"5"}, "how often the kubelet looks"),
    ".secret.defaultMode": ({"288"}, "0440"),
    ".emptyDir.sizeLimit": ({"1", "16", "64"}, "scratch"),
    **{
        f"odSecurityContext.{name}": ({"1000", "1001"}, "the users of the operators' images")
        for name in ("runAsUser", "runAsGroup", "fsGroup")
    },
    ".maxUnavailable": ({"1"}, "one member at a time"),
    **{
        f"sentinel.resources.{part}": ({"50", "64", "128"}, "a Sentinel holds no data")
        for part in ("requests.cpu", "requests.memory", "limits.memory")
    },
    ".backoffLimit": ({"1"}, "a dump that fails twice needs a look"),
    ".failedJobsHistoryLimit": ({"3"}, "logs to look at"),
    ".successfulJobsHistoryLimit": ({"1"}, "its log lists the dumps"),
    ".startingDeadlineSeconds": ({"3600"}, "an hour late is better than none"),
    ".ttlSecondsAfterFinished": ({"86400"}, "a day to read what was restored"),
}
TEXTS = re.compile(r"\.(labels|annotations)\.|\.image$|\.crVersion$|\.hostAliases|\.appendfsync$|\.save$")
NUMBER = re.compile(r"(?:cache_size=)?([0-9]+(?:\.[0-9]+)?)(m|M|mb|Mi|Gi|s)?")


def leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """(path, text) of every scalar, configuration files included; a list's item goes by its name."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for inner in value:
            named = isinstance(inner, dict) and "name" in inner
            yield from leaves(inner, f"{path}[{inner['name']}]" if named else path)
    elif isinstance(value, str) and path.endswith(("mongod.conf", ".configuration")):
        yield from leaves(YAML(typ="safe").load(value), path)
    elif isinstance(value, str) and path.endswith(".conf"):
        lines = (line.split(maxsplit=1) for line in value.splitlines() if line and line[0] != "#")
        yield from ((f"{path}.{name}", rest) for name, rest in lines)
    elif isinstance(value, str) and path.endswith("start.sh"):
        yield from ((f"{path} wanted", found) for found in re.findall(r"^wanted=(.*)$", value, re.MULTILINE))
    elif not isinstance(value, bool) and value is not None:
        yield path, str(value)


def numbers(objects: list[Object]) -> Iterator[tuple[str, str, str]]:
    """(path, number, the same with its unit) of every quantity."""
    for item in objects:
        for path, text in leaves(item, item["kind"]):
            found = NUMBER.fullmatch(text)
            if found and not TEXTS.search(path):
                yield path, found[1], text


def figure(scenario: Scenario, path: str) -> str | None:
    """The budget's figure for this place; None where it has none."""
    for end, datastore in NODES.items():
        if path.endswith(end):
            return str(scenario.solution.datastores[datastore].nodes)
    named = next((name for end, name in FIGURES.items() if path.endswith(end)), None)
    if named is None:
        return None
    # A server that does not save to disk does not fork.
    if named == "memory_saving_mib" and settings(scenario)["persistence"]["mode"] == "none":
        named = "memory_mib"
    assert scenario.datastore.server is not None
    return str(asdict(scenario.datastore.server)[named])


def settings(scenario: Scenario) -> dict[str, Any]:
    """All values that the scenario comes to."""
    defaults = YAML(typ="safe").load(CHARTS / scenario.chart / "values.yaml")
    return merged(defaults, scenario.values)


def said(values: Any, key: str) -> str:
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return str(values)


def untraced(scenario: Scenario, objects: list[Object]) -> list[str]:
    """Numbers that are neither the figure of their place, nor what the values say, nor a constant."""
    values, found = settings(scenario), []
    for path, number, text in numbers(objects):
        solved = figure(scenario, path)
        keys = (key for end, all_ in SETTINGS.items() if path.endswith(end) for key in all_)
        if solved is not None:
            traced = number == solved
        else:
            traced = text in {said(values, key) for key in keys} or any(
                path.endswith(end) and number in known for end, (known, _) in CONSTANTS.items()
            )
        if not traced:
            found.append(f"{path}: {text}")
    return found


@pytest.mark.parametrize("scenario", SIZED, ids=str)
def test_every_number_is_traced(scenario: Scenario) -> None:
    assert untraced(scenario, scenario.objects()) == []


def test_every_figure_every_key_and_every_constant_is_somewhere() -> None:
    seen = {path for scenario in SIZED for path, *_ in numbers(scenario.objects())}
    ends = [*NODES, *FIGURES, *SETTINGS, *CONSTANTS]
    assert [end for end in ends if not any(path.endswith(end) for path in seen)] == []


def test_a_number_from_nowhere_is_seen_and_one_that_is_not_the_figure() -> None:
    scenario = Scenario("mongodb", "default")
    objects = deepcopy(scenario.objects())
    config = next(item for item in objects if item["kind"] == "ConfigMap")["data"]
    config["mongod.conf"] = config["mongod.conf"].replace(": 86", ": 87") + "\n  newNumber: 7"
    assert untraced(scenario, objects) == [
        "ConfigMap.data.mongod.conf.net.maxIncomingConnections: 87",
        "ConfigMap.data.mongod.conf.setParameter.newNumber: 7",
    ]
