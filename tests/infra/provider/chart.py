"""The remote component `kubernetes:helm.sh/v4:Chart`: a chart's objects, each a resource of its own.

Rendered by `helm template` as the real plugin does with helm's library. Objects wait for what the annotation
`config.kubernetes.io/depends-on` names, and for a ServiceAccount, ConfigMap, Secret or the like to be there first.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from typing import Any

import pulumi
from pulumi.provider import ConstructResult, Provider
from ruamel.yaml import YAML

from infra.local.binaries import binary

CHART = "kubernetes:helm.sh/v4:Chart"
# The kind cluster's: the real plugin asks the cluster.
KUBE_VERSION = "1.34.4"
DEPENDS_ON = "config.kubernetes.io/depends-on"
# Deployments wait for what they mount or are limited by; a rough form of the real plugin's order.
FIRST = (
    "CustomResourceDefinition",
    "PriorityClass",
    "ServiceAccount",
    "Secret",
    "ConfigMap",
    "ResourceQuota",
    "PersistentVolumeClaim",
    "Role",
    "RoleBinding",
)
CLUSTER_WIDE = (
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "Namespace",
    "PriorityClass",
    "StorageClass",
)

Object = dict[str, Any]


class Charts(Provider):
    """Constructs charts and nothing else."""

    def construct(
        self,
        name: str,
        resource_type: str,
        inputs: pulumi.Inputs,
        options: pulumi.ResourceOptions | None = None,
    ) -> ConstructResult:
        """A chart as a component. Raises for any other type."""
        if resource_type != CHART:
            raise NotImplementedError(f"the stand-in serves {CHART}, not {resource_type}")
        component = _Chart(name, dict(inputs), options)
        return ConstructResult(component.urn, {"resources": component.resources})


class _Chart(pulumi.ComponentResource):
    def __init__(self, name: str, inputs: dict[str, Any], options: pulumi.ResourceOptions | None) -> None:
        super().__init__(CHART, name, None, options)
        rendered = pulumi.Output.all(**inputs).apply(render)
        self.resources = rendered.apply(lambda items: self._register(name, items))

    def _register(self, name: str, items: list[Object]) -> list[pulumi.Resource]:
        made: dict[str, pulumi.Resource] = {}
        early = [item for item in items if item["kind"] in FIRST]
        late = _by_dependency([item for item in items if item["kind"] not in FIRST])
        for item in (*early, *late):
            needs = [made[ref] for ref in _depends_on(item) if ref in made]
            if item in late:
                needs += [made[_reference(first)] for first in early]
            made[_reference(item)] = _resource(name, item, self, needs)
        self.register_outputs({"resources": list(made.values())})
        return list(made.values())


def _by_dependency(items: list[Object]) -> list[Object]:
    """What others depend on comes first."""
    named = {ref for item in items for ref in _depends_on(item)}
    return sorted(items, key=lambda item: _reference(item) not in named)


def _depends_on(item: Object) -> list[str]:
    text = item["metadata"].get("annotations", {}).get(DEPENDS_ON, "")
    return [part.strip() for part in text.split(",") if part.strip()]


def _reference(item: Object) -> str:
    group = item["apiVersion"].rpartition("/")[0]
    namespace = item["metadata"].get("namespace")
    where = f"namespaces/{namespace}/" if namespace else ""
    return f"{group}/{where}{item['kind']}/{item['metadata']['name']}"


def _resource(
    chart: str, item: Object, parent: pulumi.Resource, needs: list[pulumi.Resource]
) -> pulumi.Resource:
    metadata = item["metadata"]
    where = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    version = item["apiVersion"] if "/" in item["apiVersion"] else f"core/{item['apiVersion']}"
    return pulumi.CustomResource(
        f"kubernetes:{version}:{item['kind']}",
        f"{chart}:{where}{metadata['name']}",
        dict(item),
        pulumi.ResourceOptions(parent=parent, depends_on=needs),
    )


def render(inputs: dict[str, Any]) -> list[Object]:
    """What `helm template` makes of the component's inputs. Raises pulumi.RunError with helm's message."""
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
