"""What runs in a cell's namespace now: its workers, each with the budget it was made for, and the budgets on record.

Read from the cluster itself, not from Pulumi's state: pods that still drain are in no state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from kubernetes import config as kubernetes_config
from kubernetes.client import ApiClient, CoreV1Api, V1ObjectMeta, V1Pod
from kubernetes.client.exceptions import ApiException
from kubernetes.config import ConfigException
from urllib3.exceptions import HTTPError

from infra.stack.record import ADOPTED, RECORD, Record, parse_record

BUDGET_ANNOTATION = "agent-datastores/budget"
WORKERS = "app.kubernetes.io/name=agent-worker,app.kubernetes.io/component notin (indexes,watcher)"
CHECKSUM_ANNOTATION = "checksum/config"
SECONDS = 15


class ClusterError(Exception):
    """The cluster cannot be asked; the message says which and why."""


@dataclass(frozen=True)
class Worker:
    """A pod of the fleet. `budget` is the digest it was made for, empty when that is not known."""

    name: str
    budget: str
    terminating: bool
    checksum: str = ""
    """Of the variables it started with, as its chart writes it on the pod."""


@dataclass(frozen=True)
class Running:
    """A namespace as it is; empty where nothing was deployed yet."""

    workers: tuple[Worker, ...] = ()
    record: Record = field(default_factory=Record)
    """What was deployed and may still have workers, the newest last; what was adopted comes first."""


def look(context: str | None, namespace: str) -> Running:
    """Asks the cluster of this kubeconfig context. Raises ClusterError."""
    with cluster(context) as client:
        return running(client, namespace)


def running(client: ApiClient, namespace: str) -> Running:
    """The same, of a cluster that is being asked. Needs: list pods, get ConfigMaps."""
    pods = CoreV1Api(client).list_namespaced_pod(namespace, label_selector=WORKERS, _request_timeout=SECONDS)
    record = read(client, namespace, ADOPTED) + read(client, namespace, RECORD)
    meant = {checksum: one.digest for one in record.entries for checksum in one.checksums}
    return Running(tuple(_worker(pod, meant) for pod in filter(_counts, pods.items)), record)


@contextmanager
def cluster(context: str | None) -> Iterator[ApiClient]:
    """A client for this kubeconfig context. What fails while it is used is a ClusterError."""
    try:
        with kubernetes_config.new_client_from_config(context=context, persist_config=False) as client:
            yield client
    except (ApiException, ConfigException, HTTPError, OSError) as error:
        which = f"context {context}" if context else "the kubeconfig's current context"
        reason = getattr(error, "reason", None) or error
        raise ClusterError(f"{which}: the cluster cannot be asked for its workers: {reason}") from error


def _counts(pod: V1Pod) -> bool:
    return pod.status is None or pod.status.phase not in ("Succeeded", "Failed")


def _worker(pod: V1Pod, meant: Mapping[str, str]) -> Worker:
    metadata = pod.metadata or V1ObjectMeta()
    annotations = metadata.annotations or {}
    checksum = annotations.get(CHECKSUM_ANNOTATION, "")
    budget = annotations.get(BUDGET_ANNOTATION) or meant.get(checksum, "")
    return Worker(metadata.name or "?", budget, metadata.deletion_timestamp is not None, checksum)


def read(client: ApiClient, namespace: str, name: str) -> Record:
    """A record; an empty one where there is none."""
    try:
        found = CoreV1Api(client).read_namespaced_config_map(name, namespace, _request_timeout=SECONDS)
    except ApiException as error:
        if error.status == 404:
            return Record()
        raise
    return parse_record(found.data or {}, f"ConfigMap {namespace}/{name}")
