"""A datastore that is not opened costs nothing: neither an import nor a package in the worker's image."""

from __future__ import annotations

import subprocess
import sys

import pytest

from infra.supply.places import ROOT
from tests.unit.test_dependency_groups import brought_by

# Package → what it is imported as.
DRIVERS = {
    "weaviate-client": "weaviate",
    "elasticsearch": "elasticsearch",
    "elastic-transport": "elastic_transport",
    "opensearch-py": "opensearchpy",
}


def imported_by(statement: str) -> set[str]:
    program = f"{statement}\nimport sys; print(*sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    return {name.partition(".")[0] for name in output.split()}


def test_the_agent_imports_no_driver_it_does_not_open() -> None:
    modules = imported_by("import agent.worker")
    assert {"pymongo", "redis"} <= modules
    assert not modules & set(DRIVERS.values())


@pytest.mark.parametrize("name", ["weaviate", "elasticsearch", "opensearch"])
def test_each_further_datastore_imports_its_own_driver_alone(name: str) -> None:
    own = {"weaviate": {"weaviate"}, "elasticsearch": {"elasticsearch", "elastic_transport"}}
    modules = imported_by(f"import agent.runtime.datastores.{name}")
    assert modules & set(DRIVERS.values()) == own.get(name, {"opensearchpy"})


def test_their_drivers_come_with_groups_of_their_own() -> None:
    assert not brought_by("agent") & set(DRIVERS)
    assert {"weaviate-client"} <= brought_by("weaviate")
    assert {"elasticsearch", "elastic-transport"} <= brought_by("elasticsearch")
    assert {"opensearch-py"} <= brought_by("opensearch")
