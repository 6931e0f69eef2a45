"""A datastore that is not opened costs nothing: neither an import nor a package in the worker's image."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import packages_distributions

import pytest

from infra.datastores import KINDS
from infra.supply.places import ROOT
from tests.unit.test_dependency_groups import PROJECT, brought_by


def package_name(requirement: str) -> str:
    return re.split(r"[\[=]", requirement)[0]


FURTHER = [kind.name for kind in KINDS.values() if not kind.of_its_own_section]
# Of each, what its group names, as one imports it.
DRIVERS = {
    name: {
        module
        for module, packages in packages_distributions().items()
        for package in PROJECT["dependency-groups"][name]
        if package_name(package) in packages
    }
    for name in FURTHER
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
    assert not modules & set().union(*DRIVERS.values())


@pytest.mark.parametrize("name", FURTHER)
def test_each_further_datastore_imports_its_own_driver_alone(name: str) -> None:
    modules = imported_by(f"import agent.runtime.datastores.{name}")
    assert {driver for driver, own in DRIVERS.items() if modules & own} == {name}


def test_the_agents_own_group_brings_none_of_their_drivers() -> None:
    named = {package_name(package) for name in FURTHER for package in PROJECT["dependency-groups"][name]}
    assert not brought_by("agent") & named
