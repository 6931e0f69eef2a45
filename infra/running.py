"""What runs in a cell's namespace now: its workers, each with the budget it was made for, and the budgets on record.

Read from the cluster itself, not from Pulumi's state: pods that still drain are in no state.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from kubernetes import config as kubernetes_config
from kubernetes.client import CoreV1Api, V1ObjectMeta, V1Pod
from kubernetes.client.exceptions import ApiException
from kubernetes.config import ConfigException
from urllib3.exceptions import HTTPError

from infra.config import ConfigError, StackConfig, parse_config

BUDGET_ANNOTATION = "agent-datastores/budget"
WORKERS = "app.kubernetes.io/name=agent-worker,app.kubernetes.io/component!=indexes"
RECORD = "agent-budgets"
RECORD_KEY = "configs.json"
SECONDS = 15


class ClusterError(Exception):
    """The cluster cannot be asked; the message says which and why."""


@dataclass(frozen=True)
class Worker:
    """A pod of the fleet. `budget` is the digest it was made for, empty when it carries none."""

    name: str
    budget: str
    terminating: bool


@dataclass(frozen=True)
class Running:
    """A namespace as it is; empty where nothing was deployed yet."""

    workers: tuple[Worker, ...] = ()
    record: tuple[StackConfig, ...] = ()
    """Configs whose workers may still be there, the newest last."""


def look(context: str | None, namespace: str) -> Running:
    """Asks the cluster of this kubeconfig context. Raises ClusterError."""
    try:
        with kubernetes_config.new_client_from_config(context=context, persist_config=False) as client:
            api = CoreV1Api(client)
            pods = api.list_namespaced_pod(namespace, label_selector=WORKERS, _request_timeout=SECONDS)
            return Running(
                workers=tuple(map(_worker, filter(_counts, pods.items))),
                record=_record(api, namespace),
            )
    except (ApiException, ConfigException, HTTPError, OSError) as error:
        which = f"context {context}" if context else "the kubeconfig's current context"
        reason = getattr(error, "reason", None) or error
        raise ClusterError(f"{which}: the cluster cannot be asked for its workers: {reason}") from error


def _counts(pod: V1Pod) -> bool:
    return pod.status is None or pod.status.phase not in ("Succeeded", "Failed")


def _worker(pod: V1Pod) -> Worker:
    metadata = pod.metadata or V1ObjectMeta()
    budget = (metadata.annotations or {}).get(BUDGET_ANNOTATION, "")
    return Worker(metadata.name or "?", budget, metadata.deletion_timestamp is not None)


def _record(api: CoreV1Api, namespace: str) -> tuple[StackConfig, ...]:
    try:
        found = api.read_namespaced_config_map(RECORD, namespace, _request_timeout=SECONDS)
    except ApiException as error:
        if error.status == 404:
            return ()
        raise
    return parse_record((found.data or {}).get(RECORD_KEY, "[]"), f"ConfigMap {namespace}/{RECORD}")


def parse_record(text: str, source: str) -> tuple[StackConfig, ...]:
    """The configs of a record. Raises ClusterError when somebody else wrote it."""
    try:
        return tuple(parse_config(values, source) for values in json.loads(text))
    except (ConfigError, TypeError, ValueError) as error:
        raise ClusterError(
            f"{source} is no record of budgets ({error}): delete it once no worker runs"
        ) from None


def write_record(configs: Iterable[StackConfig]) -> str:
    """The record's text: what a config was solved from, nothing of its deployment."""
    values = [
        config.model_dump(mode="json", exclude_unset=True, exclude={"deployment"}) for config in configs
    ]
    return json.dumps(values, sort_keys=True)
