"""What objects that this program makes by itself have in common; those of charts are made by the charts."""

from __future__ import annotations

from collections.abc import Mapping

from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.stack.components.charts import Place

# Of every object that may outlive its stack. The plugin's own name for itself is a new one with each creation, so that
# what `data: keep` has left would be in conflict with whom it was made by. The prefix is the plugin's: by it, it finds
# what it has made itself by another operation.
MANAGER = {"pulumi.com/patchFieldManager": "pulumi-kubernetes-agent-datastores"}
OURS_ALONE = {"pulumi.com/patchForce": "true"}
"""Of what nobody else may write: a conflict is won."""


def metadata(place: Place, name: str, annotations: Mapping[str, str] = MANAGER) -> ObjectMetaArgs:
    """Of an object in the cell's namespace.

    Without `labels` where there are none: the API server drops an empty mapping, and Pulumi would find it missing
    after every `up`.
    """
    labels = dict(place.deployment.labels) or None
    return ObjectMetaArgs(name=name, namespace=place.namespace, labels=labels, annotations=dict(annotations))
