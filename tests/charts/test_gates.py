"""What every chart passes in each of its scenarios."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from infra.supply.binaries import binary
from tests.charts.docs import write_readmes
from tests.charts.render import CHARTS, helm
from tests.charts.scan import Finding
from tests.charts.scenarios import SCENARIOS, Scenario, every_chart, every_scenario
from tests.charts.schemas import KUBERNETES, WITHOUT_SCHEMA, schema_directory

# Where a mapping holds what users name or Kubernetes defines, not keys of ours.
OPEN = ("global", "budget")


@pytest.fixture(scope="session")
def schemas() -> Path:
    return schema_directory()


@every_chart
def test_a_chart_has_a_scenario_that_installs_it_and_one_with_everything_on(chart: str) -> None:
    assert {"default", "everything"} <= {scenario.name for scenario in SCENARIOS if scenario.chart == chart}


@every_scenario
def test_helm_lint_finds_nothing(scenario: Scenario) -> None:
    said = helm(["lint", "--strict"], scenario.chart, scenario.values, stack=scenario.stack)
    assert "1 chart(s) linted, 0 chart(s) failed" in said


@pytest.mark.timeout(900)  # the first use makes the schemas
@every_scenario
@pytest.mark.parametrize("version", KUBERNETES)
def test_every_object_is_what_kubernetes_accepts(scenario: Scenario, version: str, schemas: Path) -> None:
    rendered = scenario.rendered(version)
    command = [str(binary("kubeconform")), "-strict", "-output", "json", "-summary"]
    command += ["-skip", ",".join(WITHOUT_SCHEMA)]
    for location in (
        f"{version}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}",
        "custom/{{.ResourceKind}}_{{.ResourceAPIVersion}}",
    ):
        command += ["-schema-location", f"{schemas}/{location}.json"]
    done = subprocess.run(command, input=rendered, capture_output=True, text=True, check=False)
    answer = json.loads(done.stdout)
    assert answer.get("resources", []) == [], done.stderr
    summary = answer["summary"]
    assert summary["skipped"] == sum(item["kind"] in WITHOUT_SCHEMA for item in scenario.objects())
    assert summary["valid"] + summary["skipped"] == len(scenario.objects())


@every_scenario
def test_rendering_twice_gives_the_same_text(scenario: Scenario) -> None:
    assert scenario.template() == scenario.rendered()


@every_scenario
def test_no_object_holds_a_secret(scenario: Scenario) -> None:
    assert [item["metadata"]["name"] for item in scenario.objects() if item["kind"] == "Secret"] == []


@every_scenario
def test_no_object_is_a_hook_that_a_preview_would_not_show(scenario: Scenario) -> None:
    annotations = [item["metadata"].get("annotations") or {} for item in scenario.objects()]
    assert [found for found in annotations if any(key.startswith("helm.sh/hook") for key in found)] == []


@every_chart
def test_the_everything_scenario_has_every_key(chart: str) -> None:
    values = YAML(typ="safe").load(CHARTS / chart / "values.yaml")
    given = Scenario(chart, "everything").values
    sections = {key for key in values if key not in OPEN}
    missing = sections - set(given) - NOT_IN_EVERYTHING.get(chart, set())
    assert missing == set(), f"charts/{chart}/ci/everything-values.yaml leaves these at their defaults"


# Keys that belong to another engine or way than the one that has everything on.
NOT_IN_EVERYTHING: dict[str, set[str]] = {
    "agent-worker": {"replicas", "watcher"},  # watcher-values.yaml
    "redis": {"operator", "external", "runAsUser"},
    "mongodb": {"operator", "external", "runAsUser", "ferretdb"},
}


@every_chart
def test_every_key_of_the_values_is_in_the_schema_with_a_description_and_no_other_is_accepted(
    chart: str,
) -> None:
    values = YAML(typ="safe").load(CHARTS / chart / "values.yaml")
    schema = json.loads((CHARTS / chart / "values.schema.json").read_text())
    assert list(_unclosed(schema)) == []
    assert list(_undescribed(schema)) == []
    assert list(_missing(values, schema)) == []


def _unclosed(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    if "properties" in schema:
        if path not in OPEN and schema.get("additionalProperties") is not False:
            yield path or "the schema itself"
        for key, inner in schema["properties"].items():
            yield from _unclosed(inner, f"{path}.{key}".lstrip("."))


def _undescribed(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    for key, inner in schema.get("properties", {}).items():
        here = f"{path}.{key}".lstrip(".")
        if "properties" in inner:
            yield from _undescribed(inner, here)
        elif not inner.get("description"):
            yield here


def _missing(values: dict[str, Any], schema: dict[str, Any], path: str = "") -> Iterator[str]:
    for key, value in values.items():
        here = f"{path}.{key}".lstrip(".")
        inner = schema.get("properties", {}).get(key)
        if inner is None:
            yield here
        elif isinstance(value, dict) and "properties" in inner:
            yield from _missing(value, inner, here)


@every_chart
def test_the_readme_is_what_helm_docs_makes_of_the_values(chart: str, tmp_path: Path) -> None:
    copy = tmp_path / chart
    shutil.copytree(CHARTS / chart, copy)
    (copy / "README.md").unlink(missing_ok=True)
    write_readmes(tmp_path)
    assert (CHARTS / chart / "README.md").read_text() == (copy / "README.md").read_text(), "run `make docs`"


@pytest.mark.parametrize("check", ["CKV_K8S_8", "CKV_K8S_9"])
@pytest.mark.parametrize(("part", "accepted"), [("watcher", True), ("worker", False)])
def test_the_watcher_alone_may_be_without_probes(check: str, part: str, accepted: bool) -> None:
    found = Finding(check, "agent-worker", f"Deployment.default.calls-{part}", "a probe should be configured")
    assert found.accepted == accepted
