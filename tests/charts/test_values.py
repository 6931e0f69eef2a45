"""`make budget VALUES=DIR`: what it writes is what the charts are given."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from infra.capacity import capacity
from infra.cli import main
from infra.config import load_config
from infra.values import helm_values, seal
from tests.charts.render import STACKS, solved

PRODUCTION = STACKS / "Pulumi.production.yaml"


def test_a_file_a_chart_with_the_figures_under_their_own_names(tmp_path: Path) -> None:
    assert main([str(PRODUCTION), "--values", str(tmp_path / "values")]) == 0
    written = {file.stem: YAML(typ="safe").load(file) for file in (tmp_path / "values").iterdir()}
    assert written == helm_values(solved("production"), capacity(load_config(PRODUCTION)))
    assert written["agent-worker"]["budget"]["time"]["drain_timeout_seconds"] == 3803
    assert written["mongodb"]["budget"]["datastores"]["mongodb"]["limit"] == 3000


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
