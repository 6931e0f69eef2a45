"""A metrics API for a HorizontalPodAutoscaler: what metrics-api.yaml describes, with the rule of the fleet's chart."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from infra.components.charts import merged
from infra.kind import images
from infra.kind.cached import key_of
from infra.kind.cluster import Cluster
from infra.kind.engine import Engine
from infra.kind.install import CHARTS, FLEET, NAMESPACE, Stack
from infra.local.binaries import build_missing
from infra.local.building import source_of
from tests.charts.render import KUBE_VERSION

HERE = Path(__file__).parent
NAME = "metrics-api"
PROGRAMS = ("victoria-metrics", "vmalert", "prometheus-adapter")
READY_SECONDS = 180
yaml = YAML(typ="safe", pure=True)

Object = dict[str, Any]


@contextmanager
def metrics_api(docker: Engine, cluster: Cluster, stack: Stack) -> Iterator[None]:
    """Serves what the rule of the stack's fleet records. All of it is gone afterwards. Raises KindError, BuildError."""
    image = _image(docker)
    cluster.load([image])
    objects = _objects(image, _rules(cluster, stack))
    try:
        cluster.apply(objects)
        rollout = ("rollout", "status", f"deployment/{NAME}", f"--timeout={READY_SECONDS}s")
        cluster.kubectl("-n", NAME, *rollout, within=READY_SECONDS + 30)
        yield
    finally:
        listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        cluster.kubectl("delete", "--ignore-not-found", "--wait", "--filename=-", stdin=listed)


def _image(docker: Engine) -> str:
    """Of programs built here, wherever it runs: Prometheus's own images would do as well."""
    name = f"agent-datastores/{NAME}:{key_of(*map(source_of, PROGRAMS))}"
    if not docker.has_image(name):
        images.from_programs(docker, name, *build_missing(PROGRAMS).values())
    return name


def _rules(cluster: Cluster, stack: Stack) -> list[Object]:
    """The groups of the PrometheusRule that the chart would make; this cluster has no operator to read one."""
    values = merged(stack.values()[FLEET], {"scaling": {"hpa": {"rule": True}}})
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.dump(values, file)
        file.flush()
        shown = ("--kube-version", KUBE_VERSION, "--show-only", "templates/prometheusrule.yaml")
        text = cluster.helm(
            "template", FLEET, CHARTS / FLEET, "--namespace", NAMESPACE, "--values", file.name, *shown
        )
    groups: list[Object] = yaml.load(text)["spec"]["groups"]
    return groups


def _objects(image: str, groups: list[Object]) -> list[Object]:
    objects = list(yaml.load_all((HERE / "metrics-api.yaml").read_text().replace("IMAGE", image)))
    (config,) = (one for one in objects if one["kind"] == "ConfigMap")
    config["data"]["rules.yaml"] = json.dumps({"groups": groups})  # JSON is YAML
    return objects
