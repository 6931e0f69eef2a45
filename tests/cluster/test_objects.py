"""Every object of the example stacks, as the Pulumi program renders it, shown to the cluster's API server (dry run)."""

from __future__ import annotations

from typing import Any

import pytest

from infra.config.stackfile import read_stack_file
from infra.kind.cluster import Cluster
from infra.kind.pulumi_stack import PROGRAM
from infra.stack.components.charts import merged
from tests.cluster.api import Api
from tests.cluster.projection import projected
from tests.infra.stack import rendered

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600, func_only=True)]


@pytest.mark.extended
@pytest.mark.parametrize("example", ["kind", "production"])
def test_objects(bare: Cluster, example: str) -> None:
    """Each is taken without a warning, and none loses a field. Its node ports are free: nothing is installed."""
    values, problems = read_stack_file(PROGRAM / f"Pulumi.{example}.yaml")
    assert not problems
    namespace = f"dry-{example}"
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    api = Api(bare.kubeconfig)
    try:
        api.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}}
        )
        for item in rendered(merged(values, {"deployment": {"namespace": namespace}})):
            asked = without_marks(item)
            applied = api.apply(asked, dry_run=True)
            assert applied.warnings == ()
            assert projected(applied.live, asked) == asked
    finally:
        api.delete(f"/api/v1/namespaces/{namespace}")
        api.close()


def without_marks(item: dict[str, Any]) -> dict[str, Any]:
    """An object without Pulumi's marks: where it comes from, and what of it is secret."""
    return {
        key: value["value"]
        if isinstance(value, dict) and set(value) >= {"value"} and len(value) == 2
        else value
        for key, value in item.items()
        if key not in ("pulumiType", "urn")
    }
