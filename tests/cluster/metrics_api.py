"""A metrics API for a HorizontalPodAutoscaler: what metrics-api.yaml describes, with the rule of the fleet's chart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.kind.cluster import Cluster
from infra.kind.installed import FLEET
from infra.stack.components.charts import merged
from infra.supply.binaries import build_missing
from infra.supply.building import source_of
from infra.supply.cached import key_of
from infra.supply.engine import Engine
from infra.supply.offline.server_images import from_programs
from tests.charts.render import Object, objects, render_one
from tests.cluster.install import Stack

HERE = Path(__file__).parent
NAME = "metrics-api"
PROGRAMS = ("victoria-metrics", "vmalert", "prometheus-adapter")
READY_SECONDS = 180


@contextmanager
def metrics_api(docker: Engine, cluster: Cluster, stack: Stack) -> Iterator[None]:
    """Serves what the rule of the stack's fleet records. All of it is gone afterwards.

    Raises CommandFailed, BuildError, Refused.
    """
    image = _image(docker)
    cluster.load([image])
    made = _objects(image, _rules(stack))
    try:
        cluster.apply(made)
        rollout = ("rollout", "status", f"deployment/{NAME}", f"--timeout={READY_SECONDS}s")
        cluster.kubectl("-n", NAME, *rollout, within=READY_SECONDS + 30)
        yield
    finally:
        listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": made})
        cluster.kubectl("delete", "--ignore-not-found", "--wait", "--filename=-", stdin=listed)


def _image(docker: Engine) -> str:
    """Of programs built here, wherever it runs: Prometheus's own images would do as well."""
    name = f"agent-datastores/{NAME}:{key_of(*map(source_of, PROGRAMS))}"
    if not docker.has_image(name):
        from_programs(docker, name, *build_missing(PROGRAMS).values())
    return name


def _rules(stack: Stack) -> list[Object]:
    """The groups of the PrometheusRule that the chart would make; this cluster has no operator to read one."""
    named = {"scaling": {"hpa": {"rule": True}}, "fullnameOverride": FLEET}  # as the release is
    rule = render_one(FLEET, "PrometheusRule", merged(stack.values()[FLEET], named), stack=None)
    groups: list[Object] = rule["spec"]["groups"]
    return groups


def _objects(image: str, groups: list[Object]) -> list[Object]:
    made = objects((HERE / "metrics-api.yaml").read_text().replace("IMAGE", image))
    (config,) = (one for one in made if one["kind"] == "ConfigMap")
    config["data"]["rules.yaml"] = json.dumps({"groups": groups})  # JSON is YAML
    return made
