"""A chart of the stack as the plugin would render it: by `helm template`, with the component's inputs."""

from __future__ import annotations

import json
import subprocess
import tempfile
from typing import Any

import pulumi
from ruamel.yaml import YAML

from infra.supply.binaries import binary

# The kind cluster's; the plugin asks the cluster.
KUBE_VERSION = "1.34.4"
CLUSTER_WIDE = (
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "Namespace",
    "PriorityClass",
    "StorageClass",
)

Object = dict[str, Any]


def render(inputs: dict[str, Any]) -> list[Object]:
    """The objects. Raises pulumi.RunError with helm's message."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as values:
        json.dump(inputs.get("values") or {}, values)
        values.flush()
        command = [binary("helm"), "template", inputs.get("name") or "chart", inputs["chart"]]
        command += ["--namespace", inputs.get("namespace") or "default", "--values", values.name]
        command += ["--kube-version", KUBE_VERSION]
        command += [] if inputs.get("skipCrds") else ["--include-crds"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise pulumi.RunError(answer.stderr.strip().removeprefix("Error: "))
    items = [item for item in YAML(typ="safe", pure=True).load_all(answer.stdout) if item]
    for item in items:
        if item["kind"] not in CLUSTER_WIDE:
            item["metadata"].setdefault("namespace", inputs.get("namespace"))
    return items
