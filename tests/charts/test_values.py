"""`make budget VALUES=DIR`: what it writes is what the charts are given."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from infra.budget.capacity import capacity
from infra.config import load_config
from infra.handoff.values import helm_values, seal
from infra.report.command import main
from infra.supply.binaries import binary
from tests.charts.render import CHARTS, KUBE_VERSION, NAMESPACE, RELEASE, STACKS, solved, template

PRODUCTION = STACKS / "Pulumi.production.yaml"


def test_a_file_a_chart_with_the_figures_under_their_own_names(tmp_path: Path) -> None:
    assert main([str(PRODUCTION), "--values", str(tmp_path / "values")]) == 0
    written = {file.stem: YAML(typ="safe").load(file) for file in (tmp_path / "values").iterdir()}
    assert written == helm_values(solved("production"), capacity(load_config(PRODUCTION)))
    assert written["agent-worker"]["budget"]["time"]["drain_timeout_seconds"] == 3813
    assert written["mongodb"]["budget"]["datastores"]["mongodb"]["limit"] == 3000


@pytest.mark.parametrize(
    ("chart", "scenario"), [("agent-worker", "managed"), ("mongodb", "external"), ("redis", "external")]
)
def test_helm_reads_from_the_files_what_pulumi_is_given(chart: str, scenario: str, tmp_path: Path) -> None:
    """The seal is over the figures, so a number that YAML changed on its way would be refused."""
    stack, mine = STACKS / "Pulumi.production.yaml", CHARTS / chart / "ci" / f"{scenario}-values.yaml"
    assert main([str(stack), "--values", str(tmp_path)]) == 0
    command = [str(binary("helm")), "template", RELEASE, str(CHARTS / chart), "--namespace", NAMESPACE]
    command += ["--kube-version", KUBE_VERSION, "-f", str(tmp_path / f"{chart}.yaml"), "-f", str(mine)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == template(chart, YAML(typ="safe").load(mine), stack="production")


def test_every_block_carries_the_digest_of_its_inputs_and_a_seal_of_its_figures() -> None:
    for values in helm_values(solved("local"), ()).values():
        block = dict(values["budget"])
        assert block["digest"] == solved("local").digest
        assert block.pop("seal") == seal(block)
        assert seal(block | {"fits": False}) != seal(block)


def test_a_budget_that_does_not_fit_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = tmp_path / "Pulumi.test.yaml"
    stack.write_text(PRODUCTION.read_text().replace("pool: 2", "pool: 100"))
    assert main([str(stack), "--values", str(tmp_path / "values")]) == 1
    assert "no values written" in capsys.readouterr().err
    assert not (tmp_path / "values").exists()


def test_a_directory_that_cannot_be_written_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main([str(PRODUCTION), "--values", str(tmp_path / "file")]) == 2
    assert f"{tmp_path / 'file'}: cannot be written" in capsys.readouterr().err
