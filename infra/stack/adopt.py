"""`python -m infra.adopt --namespace NAMESPACE VALUES`: puts workers that run already on record, for `pulumi up`.

For workers that helm installed, or whose record is lost. VALUES is what their chart was given, as `make budget
VALUES=DIR` wrote it, or as helm knows it:

    helm get values agent-worker -n NAMESPACE -o yaml | python -m infra.adopt --namespace NAMESPACE -

Its `budget:` block is sealed and carries every figure; from the cluster comes which workers run with it. Nothing of
theirs is changed: a ConfigMap `agent-budgets-adopted` is written beside them.

Exit status: 0 adopted, 1 refused, 2 the values cannot be used.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kubernetes.client import ApiClient, AppsV1Api, CoreV1Api, V1ConfigMap, V1Deployment, V1ObjectMeta
from kubernetes.client.exceptions import ApiException

from infra.budget.deployed import Deployed
from infra.budget.solution import grouped
from infra.config import ConfigError
from infra.handoff.values import read_block
from infra.stack.record import ADOPTED, KEY, Record, adopted
from infra.stack.running import (
    CHECKSUM_ANNOTATION,
    SECONDS,
    WORKERS,
    ClusterError,
    Worker,
    cluster,
    read,
    running,
)

DIGEST_VARIABLE = "AGENT_BUDGET_DIGEST"


class NotAdopted(Exception):
    """What is there cannot be of these values; the message says what is."""


@dataclass(frozen=True)
class Fleet:
    """A Deployment of workers."""

    name: str
    digest: str
    """Of the budget in the ConfigMap that its pods read when they start."""
    checksum: str
    """By which its pods are known: of that ConfigMap's content."""


@dataclass(frozen=True)
class Found:
    """What a namespace holds of workers."""

    workers: tuple[Worker, ...]
    fleets: tuple[Fleet, ...]
    quotas: tuple[int, ...]
    """Pods that each quota of the workers' class allows."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    options = _parser().parse_args(arguments)
    try:
        text = sys.stdin.read() if options.values == "-" else Path(options.values).read_text("utf-8")
        budget = read_block(text, options.values)
    except (ConfigError, OSError, UnicodeDecodeError) as error:
        print(error, file=sys.stderr)
        return 2
    try:
        with cluster(options.context) as client:
            found = look(client, options.namespace)
            record, report = adopt(budget, found, read(client, options.namespace, ADOPTED))
            write(client, options.namespace, record)
    except (NotAdopted, ClusterError) as refusal:
        print(refusal, file=sys.stderr)
        return 1
    print("\n".join([*report, f"written: ConfigMap {options.namespace}/{ADOPTED}"]))
    return 0


def adopt(budget: Deployed, found: Found, before: Record) -> tuple[Record, list[str]]:
    """The record with this budget, and what it says of which workers. Raises NotAdopted."""
    fleets = [fleet for fleet in found.fleets if fleet.digest == budget.digest]
    checksums = {fleet.checksum for fleet in fleets}
    meant = [
        worker
        for worker in found.workers
        if worker.budget == budget.digest or (not worker.budget and worker.checksum in checksums)
    ]
    if not meant:
        there = sorted({one.digest for one in found.fleets} | {one.budget for one in found.workers} - {""})
        raise NotAdopted(
            f"no worker runs with budget {budget.digest}; there: {', '.join(there) or 'no workers'}. Accepted: the "
            "values that the Deployment was installed with"
        )
    peak = budget.fleet.workers_at_peak
    if more := [pods for pods in found.quotas if pods > peak]:
        raise NotAdopted(
            f"the quota allows {grouped(max(more))} pods, the values count {grouped(peak)}: how many workers may "
            "come is not known. Accepted: the values of the chart's last upgrade"
        )
    if len(found.workers) > peak:
        raise NotAdopted(
            f"{grouped(len(found.workers))} workers are there, the values count {grouped(peak)} at the peak"
        )
    kept = tuple(one for one in before.entries if one.digest != budget.digest)
    record = Record((*kept, adopted(budget, checksums)), before.rest)
    return record, [*_assumed(budget, found, len(meant)), *_left(found, {one.name for one in meant})]


def _assumed(budget: Deployed, found: Found, workers: int) -> list[str]:
    servers = ", ".join(
        f"{one.title} {grouped(one.connections_per_worker)} each of {grouped(one.limit)} a node"
        for one in budget.datastores.values()
    )
    quota = (
        "held by the quota" if found.quotas else "no quota holds them to it: nobody may scale them further"
    )
    return [
        f"{grouped(workers)} workers run with budget {budget.digest}. Assumed of them:",
        f"  - never more than {grouped(budget.fleet.workers_at_peak)} at once, terminating ones included ({quota})",
        f"  - connections: {servers}",
        *(
            f"  - {one.title}: beside them {', '.join(f'{row.name} {grouped(row.connections)}' for row in one.others)}"
            for one in budget.datastores.values()
            if one.others
        ),
        f"  - gone {grouped(budget.time.termination_grace_period_seconds)} s after their deletion at most",
    ]


def _left(found: Found, meant: set[str]) -> list[str]:
    left = [one.name for one in found.workers if one.name not in meant and not one.budget]
    return [
        f"not known: {', '.join(left)}: of an earlier revision, whose numbers are gone; `pulumi up` waits for their end"
    ] * bool(left)


def look(client: ApiClient, namespace: str) -> Found:
    """Needs: list pods, Deployments and ResourceQuotas, get ConfigMaps. No Secret is read."""
    core = CoreV1Api(client)
    deployments = AppsV1Api(client).list_namespaced_deployment(
        namespace, label_selector=WORKERS, _request_timeout=SECONDS
    )
    quotas = core.list_namespaced_resource_quota(namespace, label_selector=WORKERS, _request_timeout=SECONDS)
    limits = [(one.spec.hard if one.spec else None) or {} for one in quotas.items]
    return Found(
        workers=running(client, namespace).workers,
        fleets=tuple(_fleet(core, namespace, one) for one in deployments.items),
        quotas=tuple(int(hard["pods"]) for hard in limits if "pods" in hard),
    )


def _fleet(core: CoreV1Api, namespace: str, deployment: V1Deployment) -> Fleet:
    template = deployment.spec.template
    sources = [
        one
        for container in (template.spec.containers if template.spec else ())
        for one in container.env_from or ()
    ]
    variables: dict[str, str] = {}
    for name in (one.config_map_ref.name for one in sources if one.config_map_ref):
        found = core.read_namespaced_config_map(str(name), namespace, _request_timeout=SECONDS)
        variables |= found.data or {}
    annotations = (template.metadata.annotations if template.metadata else None) or {}
    name = str(deployment.metadata.name if deployment.metadata else "?")
    return Fleet(name, variables.get(DIGEST_VARIABLE, ""), annotations.get(CHECKSUM_ANNOTATION, ""))


def write(client: ApiClient, namespace: str, record: Record) -> None:
    """Makes or replaces the ConfigMap."""
    core = CoreV1Api(client)
    body = V1ConfigMap(
        metadata=V1ObjectMeta(name=ADOPTED, labels={"app.kubernetes.io/part-of": "agent-datastores"}),
        data={KEY: record.text()},
    )
    try:
        core.create_namespaced_config_map(namespace, body, _request_timeout=SECONDS)
    except ApiException as error:
        if error.status != 409:
            raise
        core.replace_namespaced_config_map(ADOPTED, namespace, body, _request_timeout=SECONDS)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.adopt",
        description="Puts workers that run already on record, by the values that their chart was given.",
        epilog="Exit status: 0 adopted, 1 refused, 2 the values cannot be used.",
    )
    parser.add_argument(
        "values", metavar="VALUES", help="a values file of charts/agent-worker; -: standard input"
    )
    parser.add_argument("--namespace", required=True, help="where they run")
    parser.add_argument("--context", help="of the kubeconfig; without it the current one")
    return parser
