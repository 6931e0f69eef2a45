"""Secrets that the program would make and that are there already, made by somebody else: refused in the preview.

What is there is taken over (`upsert_existing_objects`), and another's field is a conflict, as long as it is noted whose
it is. Of a Secret that was applied as `stringData` it is not: the API server turns that into `data`, which then belongs
to nobody, and its values would be overwritten without a word. ConfigMaps have no such key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kubernetes.client import ApiClient, CoreV1Api, V1ObjectMeta
from kubernetes.client.exceptions import ApiException

from infra.stack.components.objects import MANAGER
from infra.stack.rollover import Refused
from infra.stack.running import SECONDS, cluster

# Of the plugin itself, which 0.1.0 left without a name of ours.
PLUGIN = "pulumi-kubernetes"
# An object without its content: no value of a Secret is read.
METADATA_ALONE = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"


def secrets_there(context: str | None, namespace: str, names: Iterable[str]) -> dict[str, V1ObjectMeta]:
    """Those of these Secrets that are there, in this kubeconfig context. Needs: get Secrets. Raises ClusterError."""
    wanted = tuple(names)
    if not wanted:
        return {}
    with cluster(context) as client:
        found = {name: _metadata(client, namespace, name) for name in wanted}
    return {name: metadata for name, metadata in found.items() if metadata is not None}


def refuse_foreign(namespace: str, there: Mapping[str, V1ObjectMeta]) -> None:
    """Raises Refused, with a line for each that somebody else has made."""
    if others := [name for name, metadata in there.items() if not _is_ours(metadata)]:
        raise Refused("\n".join(_refusal(namespace, name) for name in others))


def _is_ours(metadata: V1ObjectMeta) -> bool:
    """Whether this program made it, by its annotation, or the plugin's own note of what it applied."""
    annotations = metadata.annotations or {}
    managers = [str(one.manager) for one in metadata.managed_fields or ()]
    return MANAGER.items() <= annotations.items() or any(one.startswith(PLUGIN) for one in managers)


def _refusal(namespace: str, name: str) -> str:
    ((key, value),) = MANAGER.items()
    return (
        f"Secret {namespace}/{name} is there already, and this program has not made it: its values would be "
        "overwritten. To use it as it is, set deployment.secrets.source: existing; to leave it alone, name another in "
        f"deployment.secrets; to give it away: kubectl -n {namespace} annotate secret {name} {key}={value}"
    )


def _metadata(client: ApiClient, namespace: str, name: str) -> V1ObjectMeta | None:
    try:
        found = CoreV1Api(client).read_namespaced_secret(
            name, namespace, _headers={"Accept": METADATA_ALONE}, _request_timeout=SECONDS
        )
    except ApiException as error:
        if error.status == 404:
            return None
        raise
    return found.metadata
