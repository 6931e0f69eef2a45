"""Servers of our own, sized by the budget; and everyone else who connects, each counted by name."""

from __future__ import annotations

import re
from collections.abc import Iterator

from infra.budget.solution import MongoDBServer, RedisServer
from infra.budget.transition import plan_transition
from infra.datastores import KINDS, MONGODB, REDIS, kind_of
from infra.policy.objects import Item, Stack, at, containers, is_worker, mebibytes, name, number
from infra.policy.rules import Expected, StackRule
from infra.stack.record import RECORD, parse_record

OWN = {kind.name: kind.own_server for kind in KINDS.values() if kind.own_server}
# How each of them writes its limit down.
LIMITS = {
    MONGODB.name: re.compile(r"maxIncomingConnections:\s*(\d+)"),
    REDIS.name: re.compile(r"^maxclients\s+(\d+)", re.MULTILINE),
}
MEMORY = re.compile(r"^maxmemory\s+(\d+)mb", re.MULTILINE)
CONTAINERS = {own.container for own in OWN.values()}


def limits(stack: Stack, namespace: str, expected: Expected) -> Iterator[tuple[Item | None, str]]:
    """A server of ours has exactly the connections of the budget, or of both fleets while an old one drains."""
    for datastore, own in OWN.items():
        wanted = _servers(stack, namespace, expected, datastore)
        for item in _stateful_sets(stack, namespace, datastore):
            if not wanted:
                yield item, f"is a {datastore} server, but the budget has a managed one (plan or limit)"
                continue
            if not any(one["name"] == own.container for one in containers(item)):
                continue  # another engine, which knows no limit: workers alone hold the budget
            text = _configuration(stack, namespace, item)
            found = LIMITS[datastore].search(text)
            limit = int(found[1]) if found else None
            accepted = {_limit(server) for server in wanted}
            if limit not in accepted:
                given = "missing (no limit then)" if limit is None else str(limit)
                yield item, f"{own.limit_setting} is {given}, the budget solved {max(accepted)}"
            if not found:
                continue
            yield from _sizes(item, text, [one for one in wanted if _limit(one) == limit])
    if not stack.workers(namespace):
        return
    for datastore in OWN:
        if expected.solution.datastores[datastore].server and not _stateful_sets(stack, namespace, datastore):
            kinds = [one.get("kind") for one in stack.items]
            if not {"PerconaServerMongoDB", "RedisReplication", "RedisCluster"} & set(kinds):
                yield (
                    None,
                    f"namespace {namespace} has no {datastore} server, and the budget has no managed one",
                )


def _sizes(
    item: Item, text: str, wanted: list[MongoDBServer | RedisServer]
) -> Iterator[tuple[Item | None, str]]:
    for server in wanted[:1]:
        memory = server.memory_mib
        for container in containers(item):
            given = mebibytes(at(container, "resources", "limits", "memory"))
            if container["name"] in CONTAINERS and (given is None or given < memory):
                shown = "missing" if given is None else f"{given:.0f} MiB"
                yield (
                    item,
                    f"limits.memory is {shown}, {_limit(server)} connections and the data need {memory} MiB",
                )
        found = MEMORY.search(text)
        if isinstance(server, RedisServer) and (not found or int(found[1]) != server.max_memory_mib):
            shown = found[1] if found else "missing (no bound then)"
            yield item, f"maxmemory is {shown}, the budget solved {server.max_memory_mib} MiB"


def single(stack: Stack, namespace: str, expected: Expected) -> Iterator[tuple[Item | None, str]]:
    """As many members as the budget counts."""
    for datastore in OWN:
        for item in _stateful_sets(stack, namespace, datastore):
            given = number(at(item, "spec", "replicas"))
            nodes = expected.solution.datastores[datastore].nodes
            if given is not None and given != nodes:
                yield item, f"spec.replicas is {given:.0f}, the budget counts {nodes} ({datastore}.nodes)"


def data(stack: Stack, namespace: str, expected: Expected) -> Iterator[tuple[Item | None, str]]:
    """What callers said is on a volume, and the volume stays when the server goes."""
    if expected.config.deployment and expected.config.deployment.data == "delete":
        return
    for item in _stateful_sets(stack, namespace, MONGODB.name):
        if not at(item, "spec", "volumeClaimTemplates"):
            yield item, "has no volume: transcripts would go with the pod"
        if at(item, "spec", "persistentVolumeClaimRetentionPolicy", "whenDeleted") == "Delete":
            yield (
                item,
                "whenDeleted is Delete: the volume would go with the server (deployment.data: delete says so)",
            )


def consumers(stack: Stack, namespace: str, expected: Expected) -> Iterator[tuple[Item | None, str]]:
    """Who is given a datastore's address and is no worker is a consumer of the budget, with so many processes."""
    for item in stack.items:
        if is_worker(item) or at(item, "metadata", "namespace") != namespace:
            continue
        for kind in map(kind_of, OWN):
            variable, counted_by = str(kind.url_variable), expected.config.section_of(kind).consumers
            if not any(variable in stack.variables(one, namespace) for one in containers(item)):
                continue
            own = str(at(item, "metadata", "name"))
            counted = next((one for key, one in counted_by.items() if key in own.split("-")), None)
            if counted is None:
                yield (
                    item,
                    (
                        f"is given {variable}, but {kind.section}.consumers counts nobody of that name: its "
                        "connections are in no budget"
                    ),
                )
                continue
            processes = number(at(item, "spec", "replicas") or at(item, "spec", "parallelism")) or 1
            if processes > counted.processes:
                yield (
                    item,
                    (
                        f"runs {processes:.0f} processes, {kind.section}.consumers pays for {counted.processes} of them"
                    ),
                )


def _servers(
    stack: Stack, namespace: str, expected: Expected, datastore: str
) -> list[MongoDBServer | RedisServer]:
    """The solved server; and while older budgets are on record, the one that takes their workers too."""
    server = expected.solution.datastores[datastore].server
    if server is None:
        return []
    accepted = [server]
    for item in stack.of("ConfigMap", namespace):
        if at(item, "metadata", "name") != RECORD:
            continue
        *previous, _ = parse_record(at(item, "data") or {}, name(item)).entries or (None,)
        if not previous:
            continue
        mixed = plan_transition([one.deployed for one in previous], expected.config).mixed
        if (one := mixed.datastores.get(datastore)) and one.server_during:
            accepted.append(one.server_during)
    return accepted


def _limit(server: MongoDBServer | RedisServer) -> int:
    return server.max_incoming_connections if isinstance(server, MongoDBServer) else server.maxclients


def _stateful_sets(stack: Stack, namespace: str, datastore: str) -> list[Item]:
    return [
        item
        for item in stack.of("StatefulSet", namespace)
        if at(item, "metadata", "labels", "app.kubernetes.io/name") == datastore
        or any(one["name"] == OWN[datastore].container for one in containers(item))
    ]


def _configuration(stack: Stack, namespace: str, item: Item) -> str:
    """What the server reads: the ConfigMaps it mounts, and its arguments."""
    mounted = {
        at(volume, "configMap", "name") for volume in at(item, "spec", "template", "spec", "volumes") or ()
    }
    texts = [
        str(text)
        for one in stack.of("ConfigMap", namespace)
        if at(one, "metadata", "name") in mounted
        for text in (at(one, "data") or {}).values()
    ]
    arguments = [
        str(word) for one in containers(item) for key in ("command", "args") for word in one.get(key) or ()
    ]
    return "\n".join([*texts, " ".join(arguments)])


STACK_RULES = (
    StackRule("server-limits", "Servers of our own have the budget's limits and memory.", limits),
    StackRule("server-members", "As many members as the budget counts.", single),
    StackRule("data-stays", "Data is on volumes that stay.", data),
    StackRule("consumers-are-counted", "Everyone who connects is in the budget.", consumers),
)
